"""Start a job: `python -m suite.launch --gpus G --ranks R --threads T MODULE ARGS ...`.

The launcher waits for G free GPUs and then execs `python -m MODULE ARGS --threads T`, or torchrun with R such processes
that share the threads. The workflow engine counts GPUs but does not say which ones are free, so each GPU has a lock
file. The job runs in the launcher's process: it inherits the locks, which are released when it ends, however it ends,
and it receives the signals that are sent to the launcher. If a scheduler has given the job exactly G GPUs, it keeps
those without a lock, because every job on such a machine may see its own GPUs as number 0 and up.
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
"""Settings that make glibc keep freed memory. It reads them when a process starts; they are ignored elsewhere.

If large activation buffers are returned to the kernel after each use, page faults take much of the time: 30 to 60 % in
feature extraction. Huge pages, if the kernel's setting for them is "madvise", save most of the remaining page faults.
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
    """A descriptor that locks `device` for this process and the program it execs; None if another process has it."""
    path = Path(tempfile.gettempdir()) / f"leangan-{os.getuid()}-gpu-{device}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take(devices: list[str], count: int) -> list[str]:
    """Lock `count` of the devices and return them; waits until that many are free."""
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
    """Raise ConfigError unless `python -m name` has something to run."""
    try:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations is not None:  # a package
            found = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ConfigError(f"there is no module {name!r} to run; name it after the options, e.g. training.run")


def command(module: str, arguments: list[str], ranks: int, threads: int) -> list[str]:
    """The job's command line: one process, or `ranks` processes that share `threads`, at least one thread each."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    return [sys.executable, *torchrun, "-m", module, *arguments, "--threads", str(max(threads // ranks, 1))]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m suite.launch", description="Start a job.", allow_abbrev=False)
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that the job uses")
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the job, one per device")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of all processes together")
    parser.add_argument("module", help="what to run, as after python -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments; --threads is added to them")
    args = parser.parse_args(argv)
    with one_line():
        for name, least in (("gpus", 0), ("ranks", 1), ("threads", 1)):
            if getattr(args, name) < least:
                raise ConfigError(f"--{name} is {getattr(args, name)}, must be at least {least}")
        check_module(args.module)
        # A shell that ignores SIGTERM to outlive its job passes this on. Restore the default until the job installs its
        # handler.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if 0 < args.gpus < len(devices := visible()):
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(devices, args.gpus))
        os.environ.update(KEEP_MEMORY)
        os.execv(sys.executable, command(args.module, args.arguments, args.ranks, args.threads))


if __name__ == "__main__":
    main()
