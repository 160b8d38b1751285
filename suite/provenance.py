"""Where a number comes from: commit, library versions, device, time."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from suite import registry
from suite.config import ROOT

CODE = ["augment", "config", "data", "metrics", "models", "suite", "training", "workflow", "Snakefile"]
"""What a number depends on, below the project's root."""


def commit() -> tuple[str | None, bool | None]:
    """(commit, whether code or configuration differ from it); (None, None) outside a git checkout.

    A new file that is not committed counts: it may be the method that was trained.
    """
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=all", "--", *CODE],
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


def methods(names: Iterable[str]) -> list[dict[str, str]]:
    """The methods of a run: name, digest of the code, and where each comes from (suite.registry.home)."""
    return [{"name": name, "code_sha256": registry.code_digest(name), "home": registry.home(name)} for name in names]


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


def continued(before: dict[str, Any] | None, now: dict[str, Any] | None, trains: bool) -> dict[str, Any] | None:
    """The record of a run that began under `before` and is taken up under `now`.

    It stays `before` unless this call `trains`: then it is `now`, with the other commits that it trained under before.
    """
    if not trains or before is None or now is None:
        return now if trains else before
    commits = [*before.get("earlier_commits", []), before["commit"]]
    earlier = [each for each in dict.fromkeys(commits) if each and each != now["commit"]]
    return {**now, "dirty": before["dirty"] or now["dirty"]} | ({"earlier_commits": earlier} if earlier else {})
