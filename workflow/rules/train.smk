# Checkpoints, snapshots and logs of a run are not declared: the engine deletes the declared outputs of a job that
# failed, and they are what its next try continues from. train.json, the last file of a run, stands for them.
#
# A scheduler that takes a node back sends SIGTERM to every process of the job. Training answers it with a checkpoint;
# the shell and tee around it ignore it, as else the job would be over before that is written.


rule train:
    input:
        images=lambda wildcards: data_file(SPECS[wildcards.run]),
        subset=lambda wildcards: subset_file(SPECS[wildcards.run]),
        source=lambda wildcards: source_result(wildcards.run),
    output:
        f"results/{SCALE}/runs/{{run}}/train.json",
    log:
        f"results/{SCALE}/logs/{{run}}/train.log",
    benchmark:
        f"results/{SCALE}/logs/{{run}}/train.tsv"
    threads: lambda wildcards: config["threads"] * ranks_of(wildcards)
    resources:
        ranks=ranks_of,
        gpu=lambda wildcards: GPU * ranks_of(wildcards),
        mem_mb=lambda wildcards: 4000 * ranks_of(wildcards),
        runtime=minutes_of,
    params:
        spec=lambda wildcards: SPECS[wildcards.run].to_json(),
    shell:
        "trap '' TERM; spec=$(dirname {output})/spec.json; "
        "printf '%s\\n' {params.spec:q} > $spec.$$; mv $spec.$$ $spec; "
        f"{PYTHON} -m training.run --spec $spec --data {{input.images}} --subset {{input.subset}}"
        f" --run-dir $(dirname {{output}}) {THREADS} --tick-kimg {LENGTH['tick_kimg']}"
        f" --device {config['device']} 2>&1 | tee {{log}}"


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
        "run=$(dirname {input}); (cp $run/train.jsonl {output.curve}.$$; mv {output.curve}.$$ {output.curve}; "
        "cp -r $run/samples {output.samples}) 2> {log}"
