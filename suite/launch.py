"""How a job starts: `python -m suite.launch --gpus G --ranks R --threads T MODULE ARGS ...`.

It waits for G free GPUs and then becomes `python -m MODULE ARGS --threads T`, or under torchrun R processes of that,
which share the threads. The workflow engine counts GPUs but does not say which. Here each GPU has a lock file; the job
takes this process over and the locks with it, so that its GPUs are free again when it has ended, however it ended, and
signals to this process are signals to the job. A job that a scheduler gave exactly G keeps those: to every job on a
machine they may be GPU 0 and the following.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from suite.errors import ConfigError, one_line

POLL_SECONDS = 0.5

KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.hugetlb=1"
}
"""How processes on a CPU keep their memory (glibc, which reads it when a process starts; elsewhere it says nothing).

Large activation buffers must not go back to the kernel after each use, else page faults take much of the time: 30 to
60 % in feature extraction. Huge pages, where the kernel has them on "madvise", save most of those that are left.
"""


def visible() -> list[str]:
    """The GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, else the numbers of all."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [device for device in named.split(",") if device]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(number) for number, _ in enumerate(filter(None, listed.stdout.splitlines()))]


def locked(device: str) -> int | None:
    """A descriptor that holds `device` for this process and what follows it, or None where another has it."""
    path = Path(tempfile.gettempdir()) / f"leangan-{os.getuid()}-gpu-{device}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take(devices: list[str], count: int) -> list[str]:
    """`count` of the devices, as soon as that many are free."""
    while True:
        held: dict[str, int] = {}
        for device in devices:
            if len(held) < count and (descriptor := locked(device)) is not None:
                held[device] = descriptor
        if len(held) == count:
            for descriptor in held.values():
                os.set_inheritable(descriptor, True)
            return list(held)
        for descriptor in held.values():
            os.close(descriptor)
        time.sleep(POLL_SECONDS)


def check_module(name: str) -> None:
    """Raise ConfigError unless `python -m name` finds something to run."""
    try:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations is not None:  # a package
            found = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ConfigError(f"there is no module {name!r} to run; give its name after the options: training.run, say")


def command(module: str, arguments: list[str], ranks: int, threads: int) -> list[str]:
    """The job's command line: one process, or `ranks` of them that share `threads`, each with one at least."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    return [sys.executable, *torchrun, "-m", module, *arguments, "--threads", str(max(threads // ranks, 1))]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m suite.launch", description="Start a job.", allow_abbrev=False)
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that the job occupies")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the job, one per device")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of all processes together")
    parser.add_argument("module", help="what to run, as after python -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments, to which --threads is added")
    args = parser.parse_args(argv)
    with one_line():
        for name, least in (("gpus", 0), ("ranks", 1), ("threads", 1)):
            if getattr(args, name) < least:
                raise ConfigError(f"--{name} is {getattr(args, name)}, must be at least {least}")
        check_module(args.module)
        # A shell that ignores SIGTERM to outlive its job hands that on. Until the job answers it, it ends the job.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if 0 < args.gpus < len(devices := visible()):
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(devices, args.gpus))
        os.environ.update(KEEP_MEMORY)
        os.execv(sys.executable, command(args.module, args.arguments, args.ranks, args.threads))


if __name__ == "__main__":
    main()
