import json
import re
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from suite import config as configuration
from suite.config import artefact, read
from suite.errors import ConfigError
from suite.plan import cells
from suite.rows import without_value

# Rules call the Python that runs Snakemake, whether or not its environment is activated.
shell.prefix(f"set -euo pipefail; export TQDM_MININTERVAL=10 PATH={Path(sys.executable).parent}:$PATH; ")

try:
    config.update(configuration.checked(configuration.typed(dict(config))))
    CELLS = cells(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

CONFIG = json.dumps(dict(config))
SCALE = config["scale"]
LENGTH = read("config/scales.yaml")[SCALE]
SPECS = {cell.spec.run_id: cell.spec for members in CELLS.values() for cell in members}
REFUSED = {cell.spec.run_id: cell.refused for members in CELLS.values() for cell in members if cell.refused}
PROTOCOLS = read("config/protocols.yaml")

# GPUs that a job occupies. On a cluster, where this machine may have none, the config says device: cuda.
GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None))

# Large activation buffers must not go back to the kernel after each batch: without this, 30 to 60 % of the CPU
# time of feature extraction is page faults (glibc).
KEEP_MEMORY = "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184"

FEATURE_OPTIONS = f"--device {config['device']} --inception-weights {shlex.quote(config['inception_weights'] or '')}"


def alternatives(names):
    """A regular expression for exactly these names; one that matches nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset="[a-z0-9_-]+?",
    px="[0-9]+",
    size="[0-9]+",
    seed="[0-9]+",
    run="[^/]+/[^/]+",
    protocol=alternatives(PROTOCOLS),
    artefact="[a-z0-9_-]+",


def refused_row(run, protocol):
    """The row of a run that is not trained."""
    return json.dumps(without_value(SPECS[run], protocol, *REFUSED[run]))


def source_option(dataset):
    """Where a set of the user's own lies; nothing for one that the suite knows."""
    own = config["datasets"].get(dataset)
    return f"--path {shlex.quote(own['path'])}" if own else ""


def data_file(spec):
    return f"resources/data/{spec.dataset}-{spec.resolution}.npy"


def subset_file(spec):
    return f"resources/subsets/{spec.dataset}-{spec.resolution}-{spec.images}-s{spec.subset_seed}.json"


def reference_file(spec, protocol):
    """Features of the reals that a protocol compares with: the whole set, or the run's own training images."""
    reference, extractor = PROTOCOLS[protocol]["reference"], PROTOCOLS[protocol]["extractor"]
    split = f"train{spec.images}-s{spec.subset_seed}" if reference == "train" else reference
    return f"resources/features/{spec.dataset}-{spec.resolution}-{split}-{extractor}.safetensors"


def rows_files(name):
    """The row files that an artefact is rendered from."""
    return [f"results/{SCALE}/rows/{cell.spec.run_id}/{cell.protocol}.jsonl" for cell in CELLS[name]]


def curve_files(name):
    """The training logs that an artefact's figures are drawn from."""
    runs = [cell.spec.run_id for cell in CELLS[name] if not cell.refused]
    return [f"results/{SCALE}/rows/{run}/train.jsonl" for run in runs]


def rendered(name):
    """The tables and figures of an artefact."""
    tables = [f"results/{SCALE}/tables/{name}.{kind}" for kind in ("md", "csv", "tex")]
    figures = artefact(name).get("figures", [])
    return tables + [f"results/{SCALE}/figures/{name}-{f}.{kind}" for f in figures for kind in ("png", "svg")]
