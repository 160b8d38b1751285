# Checkpoints, snapshots and logs of a run are not declared: the engine deletes the declared outputs of a job that
# failed, and they are what its next try continues from. train.json, the last file of a run, stands for them.


rule spec:
    output:
        f"results/{SCALE}/runs/{{run}}/spec.json",
    log:
        f"results/{SCALE}/logs/{{run}}/spec.log",
    params:
        spec=lambda wildcards: SPECS[wildcards.run].to_json(),
    shell:
        "printf '%s\\n' {params.spec:q} > {output} 2> {log}"


rule train:
    input:
        spec=f"results/{SCALE}/runs/{{run}}/spec.json",
        images=lambda wildcards: data_file(SPECS[wildcards.run]),
        subset=lambda wildcards: subset_file(SPECS[wildcards.run]),
        source=lambda wildcards: source_result(wildcards.run),
    output:
        f"results/{SCALE}/runs/{{run}}/train.json",
    log:
        f"results/{SCALE}/logs/{{run}}/train.log",
    benchmark:
        f"results/{SCALE}/logs/{{run}}/train.tsv"
    threads: config["threads"]
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=14400,
    params:
        tick=LENGTH["tick_kimg"],
        device=config["device"],
    shell:
        f"{KEEP_MEMORY} python -m training.run --spec {{input.spec}} --data {{input.images}} --subset {{input.subset}}"
        " --run-dir $(dirname {output}) --threads {threads} --tick-kimg {params.tick}"
        " --device {params.device} 2>&1 | tee {log}"


rule keep_curves:
    input:
        f"results/{SCALE}/runs/{{run}}/train.json",
    output:
        curve=f"results/{SCALE}/rows/{{run}}/train.jsonl",
        samples=directory(f"results/{SCALE}/rows/{{run}}/samples"),
    log:
        f"results/{SCALE}/logs/{{run}}/keep_curves.log",
    localrule: True
    shell:
        "run=$(dirname {input}); (cp $run/train.jsonl {output.curve}; cp -r $run/samples {output.samples}) 2> {log}"
