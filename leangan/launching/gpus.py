"""The GPUs of this machine, and who has which: a job takes whole ones, or a place on one that others share.

The workflow engine counts places but does not say where they are, so each GPU has a lock file and one for each place. A
job that has a GPU to itself locks the GPU's file. Jobs that share a GPU all hold a shared lock of that file, and each
locks the file of its own place. The kernel drops these locks with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

POLL_SECONDS = 0.5


def lock(name: str, how: int) -> int | None:
    """A descriptor of the lock file `name`, locked `how` flock says; None if another process is in the way."""
    path = Path(tempfile.gettempdir()) / f"leangan-{os.getuid()}-gpu-{name.replace('/', '-')}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def free(device: str, runs_per_gpu: int) -> list[int]:
    """Descriptors that lock what is free of `device`: its file, then each free place; none if nothing is.

    A GPU that is not shared has no places; its file locks all of it.
    """
    how = fcntl.LOCK_EX if runs_per_gpu == 1 else fcntl.LOCK_SH
    if (card := lock(device, how | fcntl.LOCK_NB)) is None:
        return []
    if runs_per_gpu == 1:
        return [card]
    tried = (lock(f"{device}-{place}", fcntl.LOCK_EX | fcntl.LOCK_NB) for place in range(runs_per_gpu))
    if places := [place for place in tried if place is not None]:
        return [card, *places]
    os.close(card)
    return []


def at_once(devices: list[str], count: int, runs_per_gpu: int) -> list[str] | None:
    """Lock `count` of the devices, the emptiest, or a place on each if runs share them; None if too few are free.

    The locks belong to this process and the program that it execs.
    """
    held = {device: found for device in devices if (found := free(device, runs_per_gpu))}
    chosen = sorted(held, key=lambda device: -len(held[device]))[:count]
    enough = len(chosen) == count
    kept = [descriptor for device in chosen for descriptor in held[device][:2] if enough]
    for descriptor in itertools.chain(*held.values()):
        if descriptor in kept:
            os.set_inheritable(descriptor, True)
        else:
            os.close(descriptor)
    return chosen if enough else None


def take(devices: list[str], count: int, runs_per_gpu: int) -> list[str]:
    """What `at_once` locks, when it is free; the process execs its program next.

    Processes that choose from the same devices take turns: none looks for free ones while another tries them, and one
    that waits for several is not passed by those that need less. They queue for every device in one order, so that no
    two wait for each other. The turn ends with the exec, which closes its locks.
    """
    for device in sorted(devices):
        lock(f"{device}-turn", fcntl.LOCK_EX)
    if (taken := at_once(devices, count, runs_per_gpu)) is None:
        print(f"waiting for {count} of the GPUs {', '.join(devices)}: other jobs have them", file=sys.stderr)
    while taken is None:
        time.sleep(POLL_SECONDS)
        taken = at_once(devices, count, runs_per_gpu)
    return taken
