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
        path=lambda wildcards: config["datasets"].get(wildcards.dataset, {}).get("path", ""),
    shell:
        "python -m data.prepare --dataset {wildcards.dataset} --resolution {wildcards.px}"
        " --path {params.path:q} --out {output.images} 2>&1 | tee {log}"


rule subset:
    input:
        "resources/data/{dataset}-{px}.npy",
    output:
        "resources/subsets/{dataset}-{px}-{size}-s{seed}.json",
    log:
        "resources/logs/subset-{dataset}-{px}-{size}-s{seed}.log",
    shell:
        "python -m data.subset --data {input} --size {wildcards.size} --seed {wildcards.seed}"
        " --out {output} 2>&1 | tee {log}"
