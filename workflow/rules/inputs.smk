# What jobs take: their input files, the parameters that say when they run again, and their resources. Files and
# parameters are everything a job depends on.


def digest_of(content):
    """A short digest of what a job depends on beyond its files."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def spec_of(run):
    """The spec of a run; an error in words for one that the configuration does not have."""
    try:
        return RUNS.find(run)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def ranks_of(wildcards):
    """How many processes train a run."""
    return devices.most_ranks(spec_of(wildcards.run), DEVICES)


@cache
def rates():
    """What stored rows measured of the speed of training."""
    return cost.measured_rates(Path("results"))


def minutes_of(wildcards):
    """How long a cluster grants a run's training: half as long again as it should take, and a day at most.

    Where more is needed or nothing is known, it is a day, and the job's next try continues.
    """
    hours = cost.training_hours(spec_of(wildcards.run), rates()).values()
    return min(round(60 + 90 * max(hours, default=24) / ranks_of(wildcards)), 1440)


@cache
def hold_project_lock():
    """Hold this folder until the call ends; another call waits here, and then finds what it needs done.

    The engine's own lock would outlive a kill -9 and stop the next call. This one the kernel drops with the process.
    """
    if workflow.dryrun or not workflow.is_main_process:
        return None
    lock = FileLock(".snakemake/leangan.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        logger.warning("Another call works in this folder. This one waits until that has ended.")
        lock.acquire(timeout=-1)
    return lock


def data_file(spec):
    hold_project_lock()
    return f"resources/data/{spec.dataset}-{spec.resolution}.npy"


def subset_file(spec):
    return f"resources/subsets/{spec.dataset}-{spec.resolution}-{spec.subset_size}-s{spec.subset_seed}.json"


def spec_files(name):
    """What the runs of an artefact are and are called, of those that are not refused."""
    hold_project_lock()
    runs = dict.fromkeys(cell.spec.run_id for cell in RUNS.cells(name) if not cell.refused)
    return [f"results/{SCALE}/rows/{run}/spec.json" for run in runs]


def rows_files(name):
    """The row files that an artefact is rendered from."""
    hold_project_lock()
    measured = dict.fromkeys((cell.spec.run_id, cell.protocol) for cell in RUNS.cells(name) if cell.protocol)
    return [f"results/{SCALE}/rows/{run}/{protocol}.jsonl" for run, protocol in measured]


def curve_files(name):
    """The training logs that an artefact's figures are drawn from."""
    runs = dict.fromkeys(cell.spec.run_id for cell in RUNS.cells(name) if cell.protocol and not cell.refused)
    return [f"results/{SCALE}/rows/{run}/train.jsonl" for run in runs]


@cache
def came_alone(file):
    """Whether a file in results/<scale>/rows came without its run, as in a fresh clone or from a bucket.

    It is then taken as it is: asking how it would be made would train the run whenever its data set is prepared. Rows
    that hold no number at all are made here, since what refused the run may be mended.
    """
    path = Path(file)
    if not path.exists() or Path(f"results/{SCALE}/runs/{path.parent.parent.name}/{path.parent.name}").exists():
        return False
    with path.open() as rows:
        return path.name == "train.jsonl" or any('"status": "done"' in row for row in rows)


def made_here(files):
    """Those of the files in results/<scale>/rows that jobs make: all but those that came without their runs."""
    return [file for file in files if not came_alone(file)]


def stored(files):
    """A digest of the files that came without their runs, by name, size and time, so that a change is seen."""
    states = [(file, Path(file).stat()) for file in sorted(filter(came_alone, files))]
    return digest_of([(file, state.st_size, state.st_mtime_ns) for file, state in states])


def of_all(files):
    """The files of every configured artefact, each once."""
    return list(dict.fromkeys(file for name in ASKED.artefacts for file in files(name)))


def rendered(name):
    """The tables of an artefact and the folder of its figures."""
    stem = ASKED.output_name(name)
    return [f"results/{SCALE}/tables/{stem}.{kind}" for kind in ("md", "csv", "tex")] + [
        f"results/{SCALE}/figures/{stem}"
    ]


# ---- Data ----


@cache
def warn_once(text):
    logger.warning(text)


def check_own_images():
    """End the call, before it looks for anything else, where the configuration gives a path that holds no images.

    The same holds for a set that lacks the test images which a protocol compares with. Targets that take no images go
    on, as do artefacts whose rows are all there.
    """
    asked = {name for target in TARGETS for name in artefacts_of(target, ASKED)}
    if not workflow.is_main_process or not asked:
        return
    shown = [cell for name in sorted(asked) for cell in RUNS.cells(name) if cell.protocol]
    rows = [Path(f"results/{SCALE}/rows/{cell.spec.run_id}/{cell.protocol}.jsonl") for cell in shown]
    if "all" in ASKED.images or not all(file.exists() for file in rows):
        try:
            configuration.check_sources(ASKED)
            for cell in shown:
                if PROTOCOLS[cell.protocol].reference == "test" and not cell.refused:
                    find_test_split(cell.spec.dataset)
        except ConfigError as error:
            raise WorkflowError(str(error)) from None


check_own_images()


def source_file(dataset, prepared):
    """The file or folder that a set is prepared from.

    A missing one is an error, by which the engine ends before the first job unless no job needs the set. A dry run
    only says so. Where the prepared array exists, the engine learns of a missing file and takes the array. Paths that
    the configuration gives have been checked before, see `check_own_images`.
    """
    path = ASKED.path_of(dataset)
    try:
        return locate(dataset, path) or []
    except ConfigError as error:
        if Path(prepared).exists():
            if path is not None:
                warn_once(f"The images of {dataset}, prepared earlier, are used without their source: {error}")
            return path or f"resources/sources/{dataset}"
        if not workflow.dryrun:
            raise
        warn_once(f"Only a dry run goes on without this: {error}")
        return []


def source_option(dataset):
    """What the config says of a set: where it lies, and how it is cropped and resized if not as published."""
    own = ASKED.datasets.get(dataset, OwnDataset())
    path = ASKED.path_of(dataset)
    options = [f"--path {shlex.quote(path)}"] if path else []
    options += ["--crop" if own.crop else "--no-crop"] if own.crop is not None else []
    options += [f"--white {own.white}"] if own.white else []
    return " ".join(options + ([f"--resize {own.resize}"] if own.resize else []))


@cache
def source_state(dataset, description):
    """A fingerprint of a set's source, by names, sizes and times of its files, so that a change is seen.

    None for a set that comes with the installation or is downloaded, whose content is known. If the source is gone, the
    fingerprint is read from the description of the prepared array.
    """
    path, row = ASKED.path_of(dataset), known_sets().get(dataset)
    if path is None and row is not None and (row.url or row.kind == "embedded"):
        return None
    try:
        return fingerprint(Path(locate(dataset, path)))
    except (ConfigError, OSError):
        return json.loads(Path(description).read_text()).get("fingerprint") if Path(description).exists() else None


def subset_options(dataset, size):
    """How the images that `size` stands for are chosen."""
    images, rule, validation = subset_of(size)
    options = f"--size {images} --rule {rule} --validation {validation}"
    return f"{options} --mirrored" if is_amplified(dataset, images) else options


# ---- Training ----


@cache
def shown_as():
    """By run: the artefacts that have it, each with the spec under the labels that it has there."""
    found = {}
    for name in RUNS.expandable():
        for cell in RUNS.cells(name):
            found.setdefault(cell.spec.run_id, []).append((name, cell.spec))
    return found


@cache
def spec_text(run):
    """The content of a run's spec.json: its values, everything it is called, and the configuration that makes it."""
    configs = [needed_config(spec, name, ASKED) for name, spec in shown_as()[run]]
    labels = dict.fromkeys(spec.labels for _, spec in shown_as()[run])
    return spec_of(run).to_json(labels, min(configs, key=len))


def code_of(run):
    """The digests of the code of a run's methods, so that an edit triggers training."""
    return {name: registry.code_digest(name) for name, _ in spec_of(run).plugins}


def parent_result(run):
    """What the run whose networks this one starts from leaves when it has ended; nothing for one without a parent."""
    parent = spec_of(run).parent
    return f"results/{SCALE}/runs/{parent.run_id}/train.json" if parent else []


def parent_option(result):
    """Where the run lies whose train.json is `result`; nothing where there is none."""
    return f"--parent-run {shlex.quote(str(Path(result).parent))}" if result else ""


# ---- Measuring ----


def reference_file(spec, protocol):
    """Features of the reals that a protocol compares with: the whole set, its test split or the training images.

    They are computed in the arithmetic of the run's training, so that those with TF32 are files of their own.
    """
    dataset, split, extractor = spec.dataset, PROTOCOLS[protocol].reference, PROTOCOLS[protocol].extractor
    if split == "train":
        split = f"train{spec.subset_size}-s{spec.subset_seed}"
    elif split == "test":
        dataset = find_test_split(dataset)
    tf32 = "-tf32" if spec.tf32 else ""
    return f"resources/features/{dataset}-{spec.resolution}-{split}-{extractor}{tf32}.safetensors"


def extractor_options(stated):
    """The options for an extractor as names of files state it: its own name, with -tf32 where it computes in TF32."""
    name = stated.removesuffix("-tf32")
    return f"--extractor {name}" + (" --tf32" if stated != name else "")


def measured_by(protocol):
    """What a protocol asks for, without the text that says where it was published."""
    return PROTOCOLS[protocol].model_dump(exclude_unset=True, exclude={"name", "source"})


@cache
def metric_code(protocol):
    """The digests of the code of a protocol's metrics, so that an edit triggers measuring."""
    try:
        check_families(PROTOCOLS[protocol].metrics, f"config/protocols.yaml, {protocol}")
        return code_of_metrics(PROTOCOLS[protocol].metrics)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


# ---- Tables, figures, page ----


def shown_by(name):
    """What an artefact is rendered from besides its files: its runs, their labels and its protocol."""
    runs = [(cell.spec.run_id, vars(cell.spec.labels)) for cell in RUNS.cells(name)]
    rows = stored(rows_files(name) + curve_files(name))
    return digest_of([rows, runs, measured_by(artefact(name).protocol), LENGTH.fakes])


def shown_on_page():
    """What the page takes from the configuration: protocols, the numbers and the order that papers give to artefacts, the
    titles of those that are asked for, and the scale.
    """
    shown = {"protocol": True, "grid": True, "conditional": True, "expectation": True, "layout": {"published"}}
    contents = [artefact(name) for name in readable_artefacts()]
    beside = [(content.model_dump(include=shown), content.layout.metrics[:1]) for content in contents]
    titles = [artefact(name).title for name in ASKED.artefacts]
    tick_kimg = configuration.read_scale("paper").tick_kimg
    return digest_of([beside, titles, list(map(measured_by, PROTOCOLS)), tick_kimg, LENGTH.model_dump()])
