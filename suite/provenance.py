"""Where a number comes from: commit, library versions, device, time."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from suite.config import ROOT


def commit() -> tuple[str | None, bool | None]:
    """(commit, whether tracked files differ from it); (None, None) outside a git checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=ROOT,
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


def record(device: str, seconds: float, images_per_s: float, devices: int = 1) -> dict[str, Any]:
    """The provenance part of a row: `seconds` of wall time and throughput of the training run, measured by it.

    Several devices are named with their number, "4 x NVIDIA H200", as the throughput is that of all of them.
    """
    head, dirty = commit()
    return {
        "commit": head,
        "dirty": dirty,
        "torch": package_version("torch"),
        "device": device_name(device) if devices == 1 else f"{devices} x {device_name(device)}",
        "seconds": round(seconds, 1),
        "images_per_s": round(images_per_s, 1),
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
