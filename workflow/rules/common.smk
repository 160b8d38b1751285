import json
import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, workflow.basedir)

from data.table import amplified, downloads, held_out, place
from suite import config as configuration
from suite import cost, devices, memory, registry
from suite.cells import cells
from suite.config import artefact, artefact_names, figures_of, read
from suite.errors import ConfigError
from suite.rows import without_value

# Rules call the Python that runs Snakemake, whether or not its environment is activated.
shell.prefix(f"set -euo pipefail; export TQDM_MININTERVAL=10 PATH={Path(sys.executable).parent}:$PATH; ")

try:
    config.update(configuration.checked(configuration.typed(dict(config))))
    registry.search(config["method_folders"])
    CELLS = cells({**config, "artefacts": artefact_names()})
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# Rules name it in functions, since the engine would take braces within it for wildcards.
CONFIG = json.dumps(dict(config))
SCALE = config["scale"]
LENGTH = read("config/scales.yaml")[SCALE]
SPECS = {cell.spec.run_id: cell.spec for members in CELLS.values() for cell in members}
REFUSED = {cell.spec.run_id: cell.refused for members in CELLS.values() for cell in members if cell.refused}
PROTOCOLS = read("config/protocols.yaml")
DOWNLOADS = downloads()
SUBSETS = {spec.subset_size: spec for spec in SPECS.values()}

# GPUs that a job occupies. On a cluster, where this machine may have none, the config says device: cuda.
GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None))

KEEP_MEMORY = " ".join(f"{key}={value}" for key, value in memory.KEEP_MEMORY.items())

# Several processes, one per device, share a job as torchrun starts them. Their number is a resource and no parameter,
# so that a run begun with another number goes on. Jobs side by side take different GPUs.
DEVICES = config["devices_per_run"]
TORCHRUN = "-m torch.distributed.run --standalone --nproc-per-node {resources.ranks}"
PYTHON = f"{KEEP_MEMORY} python -m suite.gpus {{resources.gpu}} python $([ {{resources.ranks}} = 1 ] || echo {TORCHRUN})"
THREADS = "--threads $(({threads} < {resources.ranks} ? 1 : {threads} / {resources.ranks}))"

# Where a job computes and where files lie changes no number, so these are no parameters either: with other ones nothing
# is made again. Braces are doubled because the engine formats the command.
FEATURE_OPTIONS = f"--device {config['device']} --inception-weights {shlex.quote(config['inception_weights'] or '')}"
FEATURE_OPTIONS = FEATURE_OPTIONS.replace("{", "{{").replace("}", "}}")


def ranks_of(wildcards):
    """How many processes train a run."""
    return devices.ranks(SPECS[wildcards.run], DEVICES)


@cache
def rates():
    """What stored rows measured of the speed of training."""
    return cost.measured_rates(Path("results"))


def minutes_of(wildcards):
    """How long a cluster grants a run's training: half as long again as it should take, and a day at most.

    Where more is needed or nothing is known, it is a day, and the job's next try continues.
    """
    hours = cost.training_hours(SPECS[wildcards.run], rates()).values()
    return min(round(60 + 90 * max(hours, default=24) / ranks_of(wildcards)), 1440)


def alternatives(names):
    """A regular expression for exactly these names; one that matches nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset="[a-z0-9_-]+?",
    px="[0-9]+",
    size=alternatives(SUBSETS),
    split="full|test",
    seed="[0-9]+",
    run="[^/]+/[^/]+",
    protocol=alternatives(PROTOCOLS),
    artefact="[a-z0-9_-]+",


def refused_row(run, protocol):
    """The row of a run that is not trained."""
    return json.dumps(without_value(SPECS[run], protocol, *REFUSED[run]))


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
def alone():
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
    alone()
    return f"resources/data/{spec.dataset}-{spec.resolution}.npy"


def subset_file(spec):
    return f"resources/subsets/{spec.dataset}-{spec.resolution}-{spec.subset_size}-s{spec.subset_seed}.json"


def subset_options(dataset, size):
    """How the images that `size` stands for are chosen."""
    spec = SUBSETS[size]
    options = f"--size {spec.images} --rule {spec.subset_rule} --validation {spec.validation_images}"
    return f"{options} --mirrored" if amplified(dataset, spec.images) else options


def reference_file(spec, protocol):
    """Features of the reals that a protocol compares with: the whole set, its test split or the training images."""
    dataset, split, extractor = spec.dataset, PROTOCOLS[protocol]["reference"], PROTOCOLS[protocol]["extractor"]
    if split == "train":
        split = f"train{spec.subset_size}-s{spec.subset_seed}"
    elif split == "test":
        dataset = held_out(dataset)
    return f"resources/features/{dataset}-{spec.resolution}-{split}-{extractor}.safetensors"


def source_result(run):
    """What the run whose networks this one starts from leaves when it has ended; nothing for one that starts anew."""
    source = SPECS[run].source
    return f"results/{SCALE}/runs/{source.run_id}/train.json" if source else []


def rows_files(name):
    """The row files that an artefact is rendered from."""
    return [f"results/{SCALE}/rows/{cell.spec.run_id}/{cell.protocol}.jsonl" for cell in CELLS[name] if cell.protocol]


def rows_to_wait_for(name):
    """The same as an input function, by which this call has the folder before the engine looks what lies in it."""

    def files(wildcards):
        alone()
        return rows_files(name)

    return files


def curve_files(name):
    """The training logs that an artefact's figures are drawn from."""
    runs = [cell.spec.run_id for cell in CELLS[name] if cell.protocol and not cell.refused]
    return [f"results/{SCALE}/rows/{run}/train.jsonl" for run in runs]


def with_rows():
    """The artefacts of which every run has its rows, and those of the configuration of which some run has."""
    names = []
    for name in CELLS:
        there = [Path(file).exists() for file in rows_files(name)]
        if all(there) or name in config["artefacts"] and any(there):
            names.append(name)
    return names or config["artefacts"]


def rendered(name):
    """The tables and figures of an artefact."""
    tables = [f"results/{SCALE}/tables/{name}.{kind}" for kind in ("md", "csv", "tex")]
    figures = [f"results/{SCALE}/figures/{name}-{figure}" for figure in figures_of(artefact(name))]
    return tables + [f"{stem}.{kind}" for stem in figures for kind in ("png", "svg", "pdf")]
