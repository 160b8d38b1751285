import hashlib
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

from data.fingerprint import fingerprint
from data.table import amplified, downloads, held_out, listed, place
from suite import config as configuration
from suite import cost, devices, registry
from suite.cells import cells
from suite.command import needed_config
from suite.config import artefact, artefact_names, read
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

SCALE = config["scale"]
LENGTH = read("config/scales.yaml")[SCALE]
SPECS = {cell.spec.run_id: cell.spec for members in CELLS.values() for cell in members}
REFUSED = {cell.spec.run_id: cell.refused for members in CELLS.values() for cell in members if cell.refused}
PROTOCOLS = read("config/protocols.yaml")
DOWNLOADS = downloads()
SUBSETS = {spec.subset_size: spec for spec in SPECS.values()}

# GPUs that a job occupies. On a cluster, where this machine may have none, the config says device: cuda.
GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None))
DEVICES = config["devices_per_run"]

# How jobs that may use GPUs start. The number of processes is a resource and no parameter, so that a run begun with
# another number goes on.
LAUNCH = "python -m suite.launch --gpus {resources.gpu} --ranks {resources.ranks} --threads {threads}"


def as_option(text):
    """A text as one word of a shell command that the engine formats: it would take single braces for wildcards."""
    return shlex.quote(text).replace("{", "{{").replace("}", "}}")


# Where a job computes and where files lie changes no number, so these are no parameters: with other ones nothing is made
# again. The same holds for the configuration as a whole: what a job takes from it is among its parameters.
DEVICE = f"--device {config['device']}"
FEATURE_OPTIONS = f"{DEVICE} --inception-weights {as_option(config['inception_weights'] or '')}"
CONFIG = as_option(json.dumps(dict(config)))


def digest_of(content):
    """A short digest of what a job depends on beyond its files."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


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
    artefact=alternatives(CELLS),


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


def spec_files(name):
    """What the runs of an artefact are and are called, of those that are not refused."""
    alone()
    runs = dict.fromkeys(cell.spec.run_id for cell in CELLS[name] if not cell.refused)
    return [f"results/{SCALE}/rows/{run}/spec.json" for run in runs]


def rows_files(name):
    """The row files that an artefact is rendered from."""
    alone()
    measured = dict.fromkeys((cell.spec.run_id, cell.protocol) for cell in CELLS[name] if cell.protocol)
    return [f"results/{SCALE}/rows/{run}/{protocol}.jsonl" for run, protocol in measured]


def curve_files(name):
    """The training logs that an artefact's figures are drawn from."""
    runs = dict.fromkeys(cell.spec.run_id for cell in CELLS[name] if cell.protocol and not cell.refused)
    return [f"results/{SCALE}/rows/{run}/train.jsonl" for run in runs]


def of_all(files):
    """The files of every configured artefact, each once."""
    return list(dict.fromkeys(file for name in config["artefacts"] for file in files(name)))


def rendered(name):
    """The tables of an artefact and the folder of its figures."""
    return [f"results/{SCALE}/tables/{name}.{kind}" for kind in ("md", "csv", "tex")] + [
        f"results/{SCALE}/figures/{name}"
    ]
