def source_file(dataset, prepared):
    """The file or folder that a set is prepared from.

    A missing one is an error, by which the engine ends before the first job unless no job needs the set. A dry run
    only says so. Where the prepared array exists, the engine learns of a missing file and takes the array.
    """
    path = config["datasets"].get(dataset, {}).get("path")
    try:
        return place(dataset, path) or []
    except ConfigError as error:
        if Path(prepared).exists():
            return path or f"resources/sources/{dataset}"
        if not workflow.dryrun:
            raise
        logger.warning(f"Only a dry run goes on without this: {error}")
        return []


def source_option(dataset):
    """What the config says of a set: where it lies, and how it is cropped and resized if not as published."""
    own = config["datasets"].get(dataset, {})
    options = [f"--path {shlex.quote(own['path'])}"] if "path" in own else []
    options += ["--crop" if own["crop"] else "--no-crop"] if "crop" in own else []
    return " ".join(options + ([f"--resize {own['resize']}"] if "resize" in own else []))


@cache
def source_state(dataset, description):
    """What tells whether the source of a set has changed: a fingerprint of its files' names, sizes and times.

    None for a set that comes with the installation or is downloaded, whose content is known. Of a source that is gone,
    the description of the prepared array says what it was.
    """
    path, row = config["datasets"].get(dataset, {}).get("path"), listed().get(dataset)
    if path is None and row is not None and (row.url or row.kind == "embedded"):
        return None
    try:
        return fingerprint(Path(place(dataset, path)))
    except (ConfigError, OSError):
        return json.loads(Path(description).read_text()).get("fingerprint") if Path(description).exists() else None


def subset_options(dataset, size):
    """How the images that `size` stands for are chosen."""
    spec = SUBSETS[size]
    options = f"--size {spec.images} --rule {spec.subset_rule} --validation {spec.validation_images}"
    return f"{options} --mirrored" if amplified(dataset, spec.images) else options


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
        "python -m data.download --dataset {params.dataset} --out {output} 2>&1 | tee {log}"


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
    params:
        source=lambda wildcards: source_option(wildcards.dataset),
        state=lambda wildcards: source_state(
            wildcards.dataset, f"resources/data/{wildcards.dataset}-{wildcards.px}.json"
        )
        or "",
    shell:
        "python -m data.prepare --dataset {wildcards.dataset} --resolution {wildcards.px}"
        " {params.source} --fingerprint '{params.state}' --jobs {threads} --out {output.images} 2>&1 | tee {log}"


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
        "python -m data.subset --data {input} --seed {wildcards.seed} {params.options} --out {output} 2>&1 | tee {log}"
