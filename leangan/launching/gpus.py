"""The GPUs of this machine, and who has which: a job takes whole ones, or a place on one that others share.

The workflow engine counts places but does not say where they are, so each GPU has a lock file and one for each place. A
job that has a GPU to itself locks the GPU's file. Jobs that share a GPU all hold a shared lock of that file, and each
locks the file of its own place. The kernel drops these locks with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

POLL_SECONDS = 0.5

LISTED = re.compile(r"(GPU \d+:|\s+MIG ).*\(UUID: ((GPU|MIG)-\S+)\)\s*")
"""A line of `nvidia-smi --list-gpus`: a card, or below it, indented, an instance (MIG) that it is divided into."""


def usable(listing: str) -> list[str]:
    """The UUIDs in the text of `nvidia-smi --list-gpus` that a job can use: of cards, or of the instances of one.

    CUDA may number the same GPUs in another order than nvidia-smi; a UUID names one whatever the order.
    """
    found: list[list[str]] = []
    for line in filter(None, map(LISTED.fullmatch, listing.splitlines())):
        if line[1].startswith("GPU"):
            found.append([line[2]])
        elif found:
            found[-1].append(line[2])
    return [device for card, *instances in found for device in (instances or [card])]


@cache
def installed() -> list[str]:
    """The UUIDs of the GPUs that nvidia-smi finds; none where there is no nvidia-smi."""
    try:
        return usable(subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True).stdout)
    except OSError:
        return []


def named_by_environment() -> list[str] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES names, by number or UUID; None where it is not set.

    As in CUDA, the first name that can be none, such as -1 or an empty one, ends them.
    """
    if (text := os.environ.get("CUDA_VISIBLE_DEVICES")) is None:
        return None
    names = (name.strip() for name in text.split(","))
    return list(itertools.takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, names))


def visible_gpus() -> list[str]:
    """The GPUs that this process may use: the ones that CUDA_VISIBLE_DEVICES names, else all."""
    given = named_by_environment()
    return installed() if given is None else given


def uses_gpus(device: str) -> bool:
    """Whether jobs run on GPUs where the configuration has this `device`.

    With auto they do if nvidia-smi lists one that CUDA_VISIBLE_DEVICES does not hide.
    """
    return device == "cuda" or (device == "auto" and bool(installed() and visible_gpus()))


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
