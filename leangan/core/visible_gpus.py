"""Which GPUs this machine has, and which of them this process may use."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
from functools import cache

logger = logging.getLogger(__name__)

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
        listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return []
    if listing.returncode:
        logger.warning("nvidia-smi lists no GPU: %s", " ".join((listing.stdout + listing.stderr).split()))
    return usable(listing.stdout)


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
