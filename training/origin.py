"""What a run's networks came from. Checkpoints hold it, and a run that would come from something else starts anew.

A spec names a data set, methods and a parent; the origin says, in digests, what these names stood for when training
began.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.base import Dataset
from models.ranks import rank
from suite import registry
from suite.errors import ConfigError
from suite.spec import RunSpec
from training.distributed import on_any_rank

logger = logging.getLogger("training")

Origin = dict[str, Any]

NAMES = {
    "dataset_sha256": "the data set",
    "labels_sha256": "its labels",
    "subset_digest": "the choice of its images",
    "parent_sha256": "the run it starts from",
}

ASIDE = "replaced"
"""The folder in a run's directory that keeps what the run was before it started anew."""

LEFT_BEHIND = ("ckpt", "snapshots", "samples", "train.jsonl", "train.json")


def origin_of(
    spec: RunSpec, dataset: Dataset, subset: dict[str, Any], parent: dict[str, str] | None, arithmetic: dict[str, Any]
) -> Origin:
    """The origin of a run that trains on the images `subset` of `dataset`, from the checkpoint `parent` if any.

    Keys: dataset_sha256 of the pixels, labels_sha256 (conditional runs), subset_digest, parent_sha256, `methods`, the
    digest of each plugin's code by its name (suite.code), and `arithmetic` (of training.device).
    """
    labels = None
    if spec.conditional and dataset.labels is not None:
        labels = hashlib.sha256(dataset.labels.tobytes()).hexdigest()
    return {
        "dataset_sha256": dataset.meta["sha256"],
        "labels_sha256": labels,
        "subset_digest": subset["digest"],
        "parent_sha256": parent and parent["sha256"],
        "methods": {name: registry.code_digest(name) for name, _ in spec.plugins},
        "arithmetic": arithmetic,
    }


def differences(before: Origin, now: Origin) -> Iterator[str]:
    """What differs between two origins, in words with both digests; the arithmetic is left out."""
    for key, name in NAMES.items():
        if before.get(key) != now[key]:
            yield f"{name} was {_short(before.get(key))} and is {_short(now[key])}"
    for method, digest in now["methods"].items():
        if (known := before.get("methods", {}).get(method)) != digest:
            yield f"the code of method {method!r} was {_short(known)} and is {_short(digest)}"


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def resumable(
    state: dict[str, Any] | None, run_dir: Path, origin: Origin | None, total_nimg: int
) -> dict[str, Any] | None:
    """The checkpoint `state`, or None where it came from something else than `origin`: then the run starts anew.

    An `origin` that is None is not compared. What such a run has left moves to a folder of its own, so that nothing is
    lost. Every rank must call it, with the state that it has read. Raises ConfigError for a run that was begun in
    another arithmetic and is not complete.
    """
    if state is None or origin is None:
        return state
    before = state.get("origin") or {}
    changed = list(differences(before, origin))
    on_any_rank(False)  # every rank has read its state before rank 0 moves the files
    if changed:
        if rank() == 0:
            aside = _set_aside(run_dir)
            logger.warning("%s starts anew: %s. What it was is in %s", run_dir, "; ".join(changed), aside)
        return None
    if state["cur_nimg"] < total_nimg and before["arithmetic"] != origin["arithmetic"]:
        raise ConfigError(
            f"{run_dir} was begun with {_words(before['arithmetic'])} and would go on with "
            f"{_words(origin['arithmetic'])}. Continue it on such a device, or delete {run_dir} to begin it anew."
        )
    return state


def _words(arithmetic: dict[str, Any]) -> str:
    half = arithmetic["half_type"]
    layers = "all layers in float32" if half == "none" else f"16-bit layers in {half}"
    return f"TF32 {'on' if arithmetic['tf32'] else 'off'} and {layers}"


def _set_aside(run_dir: Path) -> Path:
    """Move what a run has left into its folder ASIDE, in place of what lies there; return that folder."""
    aside = run_dir / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in LEFT_BEHIND:
        if (run_dir / name).exists():
            (run_dir / name).rename(aside / name)
    return aside
