import hashlib
import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.api import DAGApi
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# The checkout need not be installed, and another one may be.
sys.path.insert(0, workflow.basedir)

from leangan.core import user
from leangan.core.errors import ConfigError
from leangan.core.spec import SUBSET_SIZE, subset_of
from leangan.core.visible_gpus import uses_gpus
from leangan.core.yaml_files import read, parse_leaves
from leangan.data.fingerprint import fingerprint
from leangan.data.known_sets import is_amplified, downloads, find_test_split, known_sets, locate
from leangan.launching import devices
from leangan.metrics.families import check_families, code_of_metrics
from leangan.metrics.protocols import check_protocol, read_protocol
from leangan.planning import cost
from leangan.plugins import registry
from leangan.runs import config as configuration
from leangan.runs.cells import Runs
from leangan.runs.command import needed_config
from leangan.runs.config import artefact, artefact_names, readable_artefacts
from leangan.runs.rows import check_folder, line_of, without_value
from leangan.runs.sections import OwnDataset
from leangan.runs.targets import artefacts_of, check_target, run_of

user.ensure_name()


def as_option(text):
    """A text as one word of a shell command that the engine formats: it would take single braces for wildcards."""
    return shlex.quote(text).replace("{", "{{").replace("}", "}}")


# Rules call the Python that runs Snakemake, whether or not its environment is activated.
PROGRAMS = str(Path(sys.executable).parent)
if ":" in PROGRAMS:
    raise WorkflowError(
        f"{PROGRAMS}: a folder with ':' in its path cannot be searched for programs. Move the environment, or the "
        "checkout that it is in, to a path without ':'."
    )
shell.prefix(f'set -euo pipefail; export TQDM_MININTERVAL=10 PATH={as_option(PROGRAMS)}:"$PATH"; ')


def targets():
    """The rules and files that this call is to make; for single jobs, their runs and artefacts.

    The engine has read its command line before it reads this file, but hands the targets over only afterwards.
    """
    frame = sys._getframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), DAGApi):
        frame = frame.f_back
    if frame is None:  # as for --lint
        return ["all"]
    asked = frame.f_locals["self"].dag_settings
    jobs = [job.wildcards_dict for job in asked.target_jobs]
    of_jobs = [job["artefact"] for job in jobs if "artefact" in job]
    of_jobs += [f"results/{ASKED.scale}/rows/{job['run']}" for job in jobs if "run" in job]
    return [*asked.targets, *of_jobs] if asked.targets or jobs else ["all"]


# What this call asks for: config/config.yaml and --config, checked. The engine keeps its own copy, `config`.
try:
    ASKED = configuration.check_config(parse_leaves(dict(config)))
    registry.search(ASKED.method_folders)
    RUNS = Runs(ASKED)
    PROTOCOLS = {name: read_protocol(name) for name in read("config/protocols.yaml")}
    TARGETS = targets()
    for target in TARGETS:
        for name in artefacts_of(target, ASKED):
            check_protocol(PROTOCOLS[artefact(name).protocol])
            RUNS.cells(name)
        if run_of(target):
            RUNS.find(run_of(target))
    check_folder(Path(f"results/{ASKED.scale}/rows"))
    LENGTH = configuration.read_scale(ASKED.scale)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

SCALE = ASKED.scale
REFUSED = RUNS.refused()
DOWNLOADS = downloads()

# Whether jobs run on GPUs. On a cluster, where this machine may have none, the config says device: cuda.
GPU = uses_gpus(ASKED.device)
DEVICES = ASKED.devices_per_run

# Runs that may share a GPU. On a cluster, where --jobs limits the jobs, each has GPUs of its own, and the calls of
# Snakemake that carry them out there go by the same number. Which executor it is is not known yet.
RUNS_PER_GPU = ASKED.runs_per_gpu if workflow.is_main_process and workflow.resource_settings.nodes is None else 1

# The resource gpu counts places on GPUs, but --resources gpu=N says how many GPUs there are. Older engines keep it as a
# plain number.
cards = workflow.global_resources.get("gpu")
cards = getattr(cards, "value", cards)
if isinstance(cards, int):
    workflow.register_resource("gpu", cards * RUNS_PER_GPU)


def places(ranks):
    """The places that a job of so many processes takes: one place, or all places of as many GPUs; none on a CPU."""
    return GPU * (1 if ranks == 1 else ranks * RUNS_PER_GPU)


# How jobs that may use GPUs start. The number of processes is a resource and no parameter, so that a run begun with
# another number goes on.
LAUNCH = (
    f"python -m leangan launch --places {{resources.gpu}} --runs-per-gpu {RUNS_PER_GPU}"
    " --ranks {resources.ranks} --threads {threads}"
)


# Where a job computes and where files lie changes no number, so these are no parameters: with other ones nothing is made
# again. The same holds for the configuration as a whole: what a job takes from it is among its parameters. A job that has
# a GPU ends with an error where torch cannot use it, instead of going on on the CPU.
GRAPHS = "--cuda-graphs" if ASKED.cuda_graphs else "--no-cuda-graphs"
KERNELS = "--fused-kernels" if ASKED.fused_kernels else "--no-fused-kernels"
DEVICE = f"--device {'cuda' if GPU else ASKED.device}"
FEATURE_OPTIONS = f"{DEVICE} {GRAPHS} --inception-weights {as_option(ASKED.inception_weights or '')}"
CONFIG = as_option(json.dumps(ASKED.given()))


def alternatives(names):
    """A regular expression for exactly these names; one that matches nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset="[a-z0-9_-]+?",
    px="[0-9]+",
    size=SUBSET_SIZE,
    split="full|test",
    extractor="[a-z0-9_]+(-tf32)?",
    seed="[0-9]+",
    run="[^/]+/[^/]+",
    protocol=alternatives(PROTOCOLS),
    artefact=alternatives(artefact_names()),
