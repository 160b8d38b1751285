rule download:
    output:
        "resources/sources/{file}",
    log:
        "resources/logs/download-{file}.log",
    wildcard_constraints:
        file=alternatives(Path(location).name for location in DOWNLOADS),
    localrule: True
    params:
        dataset=lambda wildcards: DOWNLOADS[f"resources/sources/{wildcards.file}"],
    shell:
        "python -m leangan download --dataset {params.dataset} --out {output:q} 2>&1 | tee {log:q}"


# What is wrong with images is said in the log alone, which the engine shows when the job has failed; the rest is shown as
# it comes. A second try would find the same images broken. On a cluster a job may also have lost its node.
rule prepare:
    input:
        lambda wildcards: source_file(wildcards.dataset, f"resources/data/{wildcards.dataset}-{wildcards.px}.npy"),
    output:
        images="resources/data/{dataset}-{px}.npy",
        description="resources/data/{dataset}-{px}.json",
    log:
        "resources/logs/prepare-{dataset}-{px}.log",
    threads: 8
    resources:
        mem_mb=2000,
        runtime=240,
    retries: 0 if workflow.resource_settings.nodes is None else None
    params:
        source=lambda wildcards: source_option(wildcards.dataset),
        state=lambda wildcards: source_state(
            wildcards.dataset, f"resources/data/{wildcards.dataset}-{wildcards.px}.json"
        )
        or "",
    shell:
        ": > {log:q}; python -m leangan prepare --dataset {wildcards.dataset} --resolution {wildcards.px}"
        " {params.source} --fingerprint={params.state:q} --jobs {threads} --out {output.images:q}"
        " 2>> {log:q} | tee -a {log:q}"


rule subset:
    input:
        "resources/data/{dataset}-{px}.npy",
    output:
        "resources/subsets/{dataset}-{px}-{size}-s{seed}.json",
    log:
        "resources/logs/subset-{dataset}-{px}-{size}-s{seed}.log",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=lambda wildcards: subset_options(wildcards.dataset, wildcards.size),
    shell:
        "python -m leangan subset --data {input:q} --seed {wildcards.seed} {params.options} --out {output:q}"
        " 2>&1 | tee {log:q}"
