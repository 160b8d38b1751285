"""What a run's networks came from. Every checkpoint records it; a run whose origin has changed starts from scratch.

A spec names a data set, methods and a parent. The origin records, as digests, what these names stood for when training
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
    "dataset_sha256": "data set",
    "labels_sha256": "labels",
    "subset_digest": "training subset",
    "parent_sha256": "parent run",
}

ASIDE = "replaced"
"""The folder in a run's directory that keeps its previous state after it has started from scratch."""

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
    """Each difference between two origins: a name and both digests. The arithmetic is not compared."""
    for key, name in NAMES.items():
        if before.get(key) != now[key]:
            yield f"{name} {_short(before.get(key))} -> {_short(now[key])}"
    for method, digest in now["methods"].items():
        if (known := before.get("methods", {}).get(method)) != digest:
            yield f"code of method {method!r} {_short(known)} -> {_short(digest)}"


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def resumable(
    state: dict[str, Any] | None, run_dir: Path, origin: Origin | None, total_nimg: int
) -> dict[str, Any] | None:
    """The checkpoint `state` if it has the given `origin`, else None: the run then starts from scratch.

    The files of such a run move to a folder of their own, so that nothing is lost. An `origin` of None is not compared.
    Every rank must call this with the state it has read. Raises ConfigError for an incomplete run that was started in
    another arithmetic.
    """
    if state is None or origin is None:
        return state
    before = state.get("origin") or {}
    changed = list(differences(before, origin))
    on_any_rank(False)  # every rank has read its state before rank 0 moves the files
    if changed:
        if rank() == 0:
            aside = _set_aside(run_dir)
            reason = ", ".join(changed)
            logger.warning("%s starts from scratch: %s. Its previous state is kept in %s", run_dir, reason, aside)
        return None
    if state["cur_nimg"] < total_nimg and before["arithmetic"] != origin["arithmetic"]:
        raise ConfigError(
            f"{run_dir} was started with {_words(before['arithmetic'])}; this device would continue it with "
            f"{_words(origin['arithmetic'])}. Continue on such a device, or delete {run_dir} to start over."
        )
    return state


def _words(arithmetic: dict[str, Any]) -> str:
    half = arithmetic["half_type"]
    layers = "all layers in float32" if half == "none" else f"16-bit layers in {half}"
    return f"TF32 {'on' if arithmetic['tf32'] else 'off'} and {layers}"


def _set_aside(run_dir: Path) -> Path:
    """Move the files of a run into its folder ASIDE, replacing an earlier previous state. Returns that folder."""
    aside = run_dir / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in LEFT_BEHIND:
        if (run_dir / name).exists():
            (run_dir / name).rename(aside / name)
    return aside
