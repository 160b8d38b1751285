"""Hands a machine's GPUs out to jobs that run side by side: `python -m suite.gpus COUNT COMMAND ...`.

The workflow engine counts GPUs but does not say which. Here each GPU has a lock file; the command takes this process
over and the locks with it, so that its GPUs are free again when it has ended, however it ended. A job that a scheduler
gave exactly COUNT keeps those: to every job on a machine they may be GPU 0 and the following.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_SECONDS = 0.5


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


def main(argv: list[str]) -> None:
    count, command = int(argv[0]), argv[1:]
    if 0 < count < len(devices := visible()):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(devices, count))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
