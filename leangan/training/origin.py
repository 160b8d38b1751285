"""What a run's networks came from. Every checkpoint records it; a run whose origin has changed starts from scratch.

A spec names a data set, methods and a parent. The origin records, as digests, what these names stood for when training
began.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from leangan.core.distributed import on_any_rank
from leangan.core.errors import ConfigError
from leangan.core.ranks import rank
from leangan.core.spec import RunSpec
from leangan.data.contracts import Dataset
from leangan.plugins import registry
from leangan.training import checkpoint

logger = logging.getLogger("training")

Origin = dict[str, Any]

COMPARED = {
    "dataset_sha256": "data set",
    "class_labels_sha256": "class labels",
    "subset_digest": "training subset",
    "parent_sha256": "parent run",
}

ASIDE = "replaced"
"""The folder in a run's directory that keeps the states of other origins, one folder for each."""

FILES = ("train.json", "train.jsonl", "samples", "snapshots", "ckpt")
"""What a run leaves, in the order in which it is moved aside: checkpoints, which tell the origin, come last."""


def origin_of(
    spec: RunSpec, dataset: Dataset, subset: dict[str, Any], parent: dict[str, str] | None, arithmetic: dict[str, Any]
) -> Origin:
    """The origin of a run that trains on the images `subset` of `dataset`, from the checkpoint `parent` if any.

    Keys: dataset_sha256 of the pixels, class_labels_sha256 (conditional runs), subset_digest, parent_sha256, `methods`,
    the digest of each plugin's code by its name, `homes`, where each plugin comes from (`plugins.registry`), and
    `arithmetic` (of `training.device`).
    """
    labels = None
    if spec.conditional and dataset.labels is not None:
        classes = str(dataset.meta["classes"]).encode()
        labels = hashlib.sha256(classes + dataset.labels.tobytes()).hexdigest()
    return {
        "dataset_sha256": dataset.meta["sha256"],
        "class_labels_sha256": labels,
        "subset_digest": subset["digest"],
        "parent_sha256": parent and parent["sha256"],
        "methods": {name: registry.code_digest(name) for name, _ in spec.plugins},
        "homes": {name: registry.find_home(name) for name, _ in spec.plugins},
        "arithmetic": arithmetic,
    }


def differences(before: Origin, now: Origin) -> Iterator[str]:
    """Each difference between two origins: a name and both digests. Homes and arithmetic are not compared."""
    for key, name in COMPARED.items():
        if before.get(key) != now[key]:
            yield f"{name} {_short(before.get(key))} -> {_short(now[key])}"
    for method, digest in now["methods"].items():
        if (known := before.get("methods", {}).get(method)) != digest:
            yield f"code of method {method!r} {_short(known)} -> {_short(digest)}"


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def resume(run_dir: Path, origin: Origin | None, total_nimg: int, device: torch.device) -> dict[str, Any] | None:
    """The newest checkpoint of a run if it has the given `origin`, else None: the run then starts from scratch.

    The files of another origin move into a folder of their own, and come back when that origin does, so that nothing is
    lost. An `origin` of None is not compared. Every rank must call this. Raises ConfigError for an incomplete run that
    was started in another arithmetic.
    """
    state = checkpoint.load_latest(run_dir / "ckpt", device)
    if origin is None:
        return state
    before = _recorded(run_dir, state)
    changed = [] if before is None else list(differences(before, origin))
    kept = run_dir / ASIDE / _name(origin)
    on_any_rank(False)  # every rank has read the checkpoint before rank 0 moves the files
    if changed or kept.exists():
        if rank() == 0:
            _swap(run_dir, before if changed else None, changed, kept)
        on_any_rank(False)
        state = checkpoint.load_latest(run_dir / "ckpt", device)
    if state is not None and state["cur_nimg"] < total_nimg:
        _check_arithmetic(run_dir, state["origin"]["arithmetic"], origin["arithmetic"])
    return state


def _recorded(run_dir: Path, state: dict[str, Any] | None) -> Origin | None:
    """The origin that a run's files record; {} where they record none, None where there are no files."""
    if state is not None:
        return state.get("origin") or {}
    try:
        return json.loads((run_dir / "train.json").read_bytes()).get("origin") or {}
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError):
        return {}


def _name(origin: Origin) -> str:
    """The name of the folder that keeps the state of an origin."""
    compared = {key: origin.get(key) for key in (*COMPARED, "methods")}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()[:8]


def _swap(run_dir: Path, before: Origin | None, changed: list[str], kept: Path) -> None:
    """Move the files of the origin `before` aside (None: there are none) and those in `kept` back, if there are any.

    Interrupted at any moment, the next call finishes it: checkpoints are moved last.
    """
    if before is not None:
        aside = run_dir / ASIDE / _name(before)
        _move(run_dir, aside)
        reason = ", ".join(changed)
        logger.warning("%s has another origin: %s. Its previous state is kept in %s", run_dir, reason, aside)
    if kept.exists():
        _move(kept, run_dir)
        kept.rmdir()
        logger.warning("%s continues from the state of this origin that was kept in %s", run_dir, kept)
    elif changed:
        logger.warning("%s starts from scratch", run_dir)


def _move(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (source / name).exists():
            _remove(target / name)  # what a run left that was interrupted before its first checkpoint
            (source / name).rename(target / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_arithmetic(run_dir: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before != now:
        raise ConfigError(
            f"{run_dir} was started with {_words(before)}; this device would continue it with {_words(now)}. Continue "
            f"on such a device, or delete {run_dir} to start over."
        )


def _words(arithmetic: dict[str, Any]) -> str:
    half = arithmetic["half_type"]
    layers = "all layers in float32" if half == "none" else f"16-bit layers in {half}"
    return f"TF32 {'on' if arithmetic['tf32'] else 'off'} and {layers}"
