rule reference_features:
    input:
        images="resources/data/{dataset}-{px}.npy",
    output:
        "resources/features/{dataset}-{px}-{split}-{extractor}.safetensors",
    log:
        "resources/logs/features-{dataset}-{px}-{split}-{extractor}.log",
    threads: ASKED.threads * DEVICES
    resources:
        ranks=DEVICES,
        gpu=places(DEVICES),
        mem_mb=4000 * DEVICES,
        runtime=240,
    params:
        split=lambda wildcards: "--test" if wildcards.split == "test" else "",
        extractor=lambda wildcards: extractor_options(wildcards.extractor),
    shell:
        f"{LAUNCH} leangan features --data {{input.images:q}} {{params.extractor}} --out {{output:q}}"
        f" {{params.split}} {FEATURE_OPTIONS} 2>&1 | tee {{log:q}}"


rule subset_reference_features:
    input:
        images="resources/data/{dataset}-{px}.npy",
        subset="resources/subsets/{dataset}-{px}-{size}-s{seed}.json",
    output:
        "resources/features/{dataset}-{px}-train{size}-s{seed}-{extractor}.safetensors",
    log:
        "resources/logs/features-{dataset}-{px}-train{size}-s{seed}-{extractor}.log",
    threads: ASKED.threads * DEVICES
    resources:
        ranks=DEVICES,
        gpu=places(DEVICES),
        mem_mb=4000 * DEVICES,
        runtime=240,
    params:
        extractor=lambda wildcards: extractor_options(wildcards.extractor),
    shell:
        f"{LAUNCH} leangan features --data {{input.images:q}} --subset {{input.subset:q}}"
        f" --out {{output:q}} {{params.extractor}} {FEATURE_OPTIONS} 2>&1 | tee {{log:q}}"


# Features of the fakes are kept in the run's folder and are not declared, so that an interrupted job continues with the
# snapshot it was at. The picture of fakes next to their nearest training images is not declared either: a run may have
# none.
rule measure:
    input:
        run=f"results/{SCALE}/runs/{{run}}/train.json",
        real=lambda wildcards: reference_file(spec_of(wildcards.run), wildcards.protocol),
        images=lambda wildcards: data_file(spec_of(wildcards.run)),
        subset=lambda wildcards: subset_file(spec_of(wildcards.run)),
    output:
        f"results/{SCALE}/rows/{{run}}/{{protocol}}.jsonl",
    log:
        f"results/{SCALE}/logs/{{run}}/measure-{{protocol}}.log",
    threads: ASKED.threads * DEVICES
    resources:
        ranks=DEVICES,
        gpu=places(DEVICES),
        mem_mb=4000 * DEVICES,
        runtime=1440,
    params:
        protocol=lambda wildcards: measured_by(wildcards.protocol),
        fakes=lambda wildcards: cost.fakes_of(SCALE, wildcards.protocol),
        code=lambda wildcards: metric_code(wildcards.protocol),
    shell:
        f"{LAUNCH} leangan measure --protocol {{wildcards.protocol}} --run-dir \"$(dirname {{input.run:q}})\""
        " --real {input.real:q} --data {input.images:q} --subset {input.subset:q} --n-fake {params.fakes}"
        f" --out {{output:q}} {FEATURE_OPTIONS} 2>&1 | tee {{log:q}}"


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
        row=lambda wildcards: line_of(
            without_value(spec_of(wildcards.run), wildcards.protocol, *REFUSED[wildcards.run])
        ),
    shell:
        "(printf '%s\\n' {params.row:q} > {output:q}.tmp && mv {output:q}.tmp {output:q}) 2> {log:q}"
