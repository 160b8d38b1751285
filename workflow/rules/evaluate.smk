rule reference_features:
    input:
        images="resources/data/{dataset}-{px}.npy",
    output:
        "resources/features/{dataset}-{px}-{split}-{extractor}.safetensors",
    log:
        "resources/logs/features-{dataset}-{px}-{split}-{extractor}.log",
    threads: config["threads"] * DEVICES
    resources:
        ranks=DEVICES,
        gpu=GPU * DEVICES,
        mem_mb=4000 * DEVICES,
        runtime=240,
    params:
        split=lambda wildcards: "--test" if wildcards.split == "test" else "",
    shell:
        f"{PYTHON} -m metrics.features --data {{input.images}} --extractor {{wildcards.extractor}}"
        f" --out {{output}} {THREADS} {{params.split}} {FEATURE_OPTIONS} 2>&1 | tee {{log}}"


rule subset_reference_features:
    input:
        images="resources/data/{dataset}-{px}.npy",
        subset="resources/subsets/{dataset}-{px}-{size}-s{seed}.json",
    output:
        "resources/features/{dataset}-{px}-train{size}-s{seed}-{extractor}.safetensors",
    log:
        "resources/logs/features-{dataset}-{px}-train{size}-s{seed}-{extractor}.log",
    threads: config["threads"] * DEVICES
    resources:
        ranks=DEVICES,
        gpu=GPU * DEVICES,
        mem_mb=4000 * DEVICES,
        runtime=240,
    shell:
        f"{PYTHON} -m metrics.features --data {{input.images}} --subset {{input.subset}}"
        f" --extractor {{wildcards.extractor}} --out {{output}} {THREADS} {FEATURE_OPTIONS} 2>&1 | tee {{log}}"


# Features of the fakes are not declared, so that a job that was interrupted continues with the snapshot it was at. They
# go when they are measured, first the index that says they are complete: kept, they would be most of the disk. A
# picture of fakes beside the training images nearest to them is not declared either: a run may have none.
rule measure:
    input:
        run=f"results/{SCALE}/runs/{{run}}/train.json",
        real=lambda wildcards: reference_file(SPECS[wildcards.run], wildcards.protocol),
        images=lambda wildcards: data_file(SPECS[wildcards.run]),
        subset=lambda wildcards: subset_file(SPECS[wildcards.run]),
    output:
        f"results/{SCALE}/rows/{{run}}/{{protocol}}.jsonl",
    log:
        f"results/{SCALE}/logs/{{run}}/measure-{{protocol}}.log",
    threads: config["threads"] * DEVICES
    resources:
        ranks=DEVICES,
        gpu=GPU * DEVICES,
        mem_mb=4000 * DEVICES,
        runtime=1440,
    params:
        fakes=lambda wildcards: cost.fakes_of(SCALE, wildcards.protocol),
    shell:
        "run=$(dirname {input.run}); features=$run/features-{wildcards.protocol}; "
        'these="--protocol {wildcards.protocol} --data {input.images} --subset {input.subset}"; '
        f"({PYTHON} -m metrics.features --run-dir $run $these --n-fake {{params.fakes}} --out $features.json {THREADS}"
        f" {FEATURE_OPTIONS}"
        " && python -m metrics.compute --real {input.real} --fake $features.json --run $run $these --out {output}"
        " --threads {threads} && rm $features.json && rm -rf $features) 2>&1 | tee {log}"


# A run that makes no sense, or whose method does not import, is a row that says so.
ruleorder: refuse > measure


rule refuse:
    output:
        f"results/{SCALE}/rows/{{run}}/{{protocol}}.jsonl",
    log:
        f"results/{SCALE}/logs/{{run}}/refuse-{{protocol}}.log",
    wildcard_constraints:
        run=alternatives(REFUSED),
    localrule: True
    params:
        row=lambda wildcards: refused_row(wildcards.run, wildcards.protocol),
    shell:
        "(printf '%s\\n' {params.row:q} > {output}.$$ && mv {output}.$$ {output}) 2> {log}"
