rule prepare:
    output:
        images="resources/data/{dataset}-{px}.npy",
        description="resources/data/{dataset}-{px}.json",
    log:
        "resources/logs/prepare-{dataset}-{px}.log",
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        source=lambda wildcards: source_option(wildcards.dataset),
    shell:
        "python -m data.prepare --dataset {wildcards.dataset} --resolution {wildcards.px}"
        " {params.source} --out {output.images} 2>&1 | tee {log}"


rule subset:
    input:
        "resources/data/{dataset}-{px}.npy",
    output:
        "resources/subsets/{dataset}-{px}-{size}-s{seed}.json",
    log:
        "resources/logs/subset-{dataset}-{px}-{size}-s{seed}.log",
    shell:
        "python -m data.subset --data {input} --size {wildcards.size} --seed {wildcards.seed} --validation 500"
        " --out {output} 2>&1 | tee {log}"
