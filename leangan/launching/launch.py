"""Start a job: `leangan launch --places P --runs-per-gpu S --ranks R --threads T leangan train ...`.

A GPU has S places. The job takes one of them, or all places of P / S GPUs. The launcher waits until these are free
(`leangan.launching.gpus`). Then it execs `python -m leangan train ... --threads T`, or torchrun with R such processes
that share the threads. The job runs in the launcher's process: it inherits the locks of its places, which are released
when it ends, however it ends, and it receives the signals that are sent to the launcher. If a scheduler has given the
job exactly the GPUs that it uses, it keeps those without a lock, because every job on such a machine may see its own as
number 0 and up.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys

from leangan.core import visible_gpus
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.launching import gpus

KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.hugetlb=1"
}
"""Settings that make glibc keep freed memory. It reads them when a process starts; they are ignored elsewhere.

If large activation buffers are returned to the kernel after each use, page faults take much of the time: 30 to 60 % in
feature extraction. Huge pages, if the kernel's setting for them is "madvise", save most of the remaining page faults.
"""


def take_gpus(places: int, runs_per_gpu: int, ranks: int) -> list[str] | None:
    """The GPUs of a job on so many places, locked; None where it goes by what it sees: the CPU, or GPUs given to it.

    Raises ConfigError for places that are neither one nor whole GPUs, and for fewer GPUs than `ranks`.
    """
    if places > 1 and places % runs_per_gpu:
        raise ConfigError(f"--places is {places}, must be 1 or a multiple of --runs-per-gpu, {runs_per_gpu}")
    whole = places > 1 or runs_per_gpu == 1
    count = places // runs_per_gpu if whole else places
    if 0 < count < ranks:
        raise ConfigError(
            f"{ranks} processes need a GPU each, the job has {count}: raise N of --resources gpu=N, or lower "
            "devices_per_run in config/config.yaml"
        )
    # A process sees one instance of a card at most, so several of them are of no use to a job.
    devices = [device for device in visible_gpus.visible_gpus() if count == 1 or not device.startswith("MIG-")]
    given = visible_gpus.named_by_environment() is not None and len(devices) == count and runs_per_gpu == 1
    if given or not 0 < count <= len(devices):
        return None
    return gpus.take(devices, count, 1 if whole else runs_per_gpu)


def check_module(name: str) -> None:
    """Raise ConfigError unless `python -m name` has something to run."""
    example = "leangan launch [OPTIONS] leangan train ..."
    if name.startswith("leangan."):
        raise ConfigError(f"{name} is no program; give the command that it has, as in {example}")
    try:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations is not None:  # a package
            found = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ConfigError(f"there is no module {name!r} to run; commands of leangan are named with it: {example}")


def command(module: str, arguments: list[str], ranks: int, threads: int) -> list[str]:
    """The job's command line: one process, or `ranks` processes that share `threads`, at least one thread each."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    return [sys.executable, *torchrun, "-m", module, *arguments, "--threads", str(max(threads // ranks, 1))]


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "launch",
        "Start a job on free GPUs: one process, or several under torchrun.",
        reads="Nothing.",
        writes="Nothing. Locks in the folder for temporary files stand for the GPUs in use as long as the job runs.",
        exit_codes={"other": "that of the job"},
    )
    parser.add_argument("--places", type=int, default=0, help="places on GPUs that the job takes: one, or whole GPUs")
    parser.add_argument("--runs-per-gpu", type=int, default=1, help="places on a GPU: how many jobs may share it")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the job, one per device")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of all processes together")
    parser.add_argument("module", help="leangan, or another module to run as after python -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="command and options; --threads is added to them")
    args = parser.parse_args(argv)
    for name, least in (("places", 0), ("runs_per_gpu", 1), ("ranks", 1), ("threads", 1)):
        if (value := getattr(args, name)) < least:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}, must be at least {least}")
    check_module(args.module)
    # A shell that ignores SIGTERM to outlive its job passes this on. Restore the default until the job installs its
    # handler.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if devices := take_gpus(args.places, args.runs_per_gpu, args.ranks):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    os.environ.update(KEEP_MEMORY)
    os.execv(sys.executable, command(args.module, args.arguments, args.ranks, args.threads))
