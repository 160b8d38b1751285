"""Where a number comes from: commit, library versions, device, time."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from leangan.core.project import CHECKOUT

ROOMS = ["core", "data", "launching", "metrics", "plugins", "released", "runs", "training"]

CODE = ["Snakefile", "augment", "config", "models", "workflow", *(f"leangan/{room}" for room in ROOMS)]
"""The files and folders that a number depends on, relative to the project's root."""


UNKNOWN = "unknown"
"""Among the commits that a run was trained under: a call outside a git checkout."""


def commit() -> tuple[str | None, bool | None]:
    """(commit, whether code or configuration differ from it); (None, None) outside a git checkout.

    Untracked files count: one of them may be the method that was trained.
    """
    if CHECKOUT is None:
        return None, None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=all", "--", *CODE],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return head.stdout.strip(), bool(changed.stdout.strip())


def package_version(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def device_name(device: str) -> str:
    """The name of the GPU or the processor behind `device` ("cuda", "cuda:1" or "cpu")."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def record(device: str, devices: int = 1) -> dict[str, Any]:
    """Commit, library, device and time of the call that trains a run.

    Several devices are named with their number, "4 x NVIDIA H200": a run's throughput is that of all of them.
    """
    head, dirty = commit()
    return {
        "commit": head,
        "dirty": dirty,
        "torch": package_version("torch"),
        "device": device_name(device) if devices == 1 else f"{devices} x {device_name(device)}",
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def merge_records(before: dict[str, Any] | None, now: dict[str, Any] | None, trains: bool) -> dict[str, Any] | None:
    """The record of a run that was started under `before` and is resumed under `now`.

    It stays `before` unless this call `trains`. Then it is `now`, plus the other commits that trained the run.
    """
    if not trains or before is None or now is None:
        return now if trains else before
    commits = [*before.get("earlier_commits", []), before["commit"] or UNKNOWN]
    earlier = [each for each in dict.fromkeys(commits) if each != (now["commit"] or UNKNOWN)]
    flags = {before["dirty"], now["dirty"]}
    dirty = True if True in flags else None if None in flags else False
    return {**now, "dirty": dirty} | ({"earlier_commits": earlier} if earlier else {})
