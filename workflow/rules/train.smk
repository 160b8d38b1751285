# What a run is and what it is called, stored with its rows. Where only labels change, tables and page are made again.
rule spec:
    output:
        f"results/{SCALE}/rows/{{run}}/spec.json",
    log:
        f"results/{SCALE}/logs/{{run}}/spec.log",
    localrule: True
    params:
        spec=lambda wildcards: spec_text(wildcards.run),
    shell:
        "(printf '%s\\n' {params.spec:q} > {output:q}.tmp && mv {output:q}.tmp {output:q}) 2> {log:q}"


# Checkpoints and snapshots of a run are not declared: the engine deletes the declared outputs of a job that failed, and
# its next try continues from them. train.json, the last file of a run, represents them. Copies of the log and the
# pictures stay with the rows.
#
# A scheduler that takes a node back sends SIGTERM to every process of the job. Training answers it with a checkpoint;
# the shell and tee around it ignore it, as else the job would be over before that is written.
rule train:
    input:
        images=lambda wildcards: data_file(spec_of(wildcards.run)),
        subset=lambda wildcards: subset_file(spec_of(wildcards.run)),
        parent=lambda wildcards: parent_result(wildcards.run),
    output:
        result=f"results/{SCALE}/runs/{{run}}/train.json",
        curve=f"results/{SCALE}/rows/{{run}}/train.jsonl",
        samples=directory(f"results/{SCALE}/rows/{{run}}/samples"),
    log:
        f"results/{SCALE}/logs/{{run}}/train.log",
    benchmark:
        f"results/{SCALE}/logs/{{run}}/train.tsv"
    threads: lambda wildcards: ASKED.threads * ranks_of(wildcards)
    resources:
        ranks=ranks_of,
        gpu=lambda wildcards: places(ranks_of(wildcards)),
        mem_mb=lambda wildcards: 4000 * ranks_of(wildcards),
        runtime=minutes_of,
    params:
        digest=lambda wildcards: spec_of(wildcards.run).digest,
        code=lambda wildcards: code_of(wildcards.run),
        parent=lambda wildcards, input: parent_option(input.parent),
    shell:
        f"trap '' TERM; {LAUNCH} leangan train --run-id {{wildcards.run:q}} --config {CONFIG} --data {{input.images:q}}"
        ' --subset {input.subset:q} --run-dir "$(dirname {output.result:q})" --keep "$(dirname {output.curve:q})"'
        f" {{params.parent}} --tick-kimg {LENGTH.tick_kimg} {DEVICE} {GRAPHS} {KERNELS} 2>&1 | tee {{log:q}}"
