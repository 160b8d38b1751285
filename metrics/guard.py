"""Features that do not belong together are refused: other data, split, resolution, network, library or snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.table import held_out
from metrics.base import library
from metrics.protocols import Protocol
from suite.errors import ConfigError
from suite.files import read_json
from suite.spec import RunSpec

SAME = ("extractor", "extractor_sha256", "input_px", "resize", "library")
"""What features must share to be compared, and what a row says of its protocol."""

OF_REAL = (*SAME, "dataset", "resolution", "dataset_sha256", "subset_digest", "reference", "n_real")


def refuse(path: Path, why: str) -> ConfigError:
    """The error for a file of features that does not fit."""
    return ConfigError(f"{path}: {why}; delete it and run the same command again to compute it anew")


def check_real(real: dict[str, Any], protocol: Protocol, spec: RunSpec, train: dict[str, Any], path: Path) -> None:
    """Raise ConfigError unless reference features belong to the protocol and to the run of `spec` and `train`."""
    missing = [key for key in OF_REAL if key not in real]
    if missing:
        raise refuse(path, f"features of an earlier version, which lack {', '.join(missing)}")
    expected = {
        "extractor": protocol.extractor,
        "library": library(protocol.extractor),
        "reference": protocol.reference,
        "resolution": spec.resolution,
    }
    for key, value in expected.items():
        if real[key] != value:
            raise refuse(path, f"{key} {real[key]!r}, but protocol {protocol.name} of {train['run']} needs {value!r}")
    if protocol.reference == "test":
        if real["dataset"] != (split := held_out(spec.dataset)):
            raise refuse(path, f"features of {real['dataset']}, but the test images of {spec.dataset} are {split}")
    elif real["dataset_sha256"] != train["dataset_sha256"]:
        raise refuse(path, f"features of other data than {train['run']} was trained on")
    if protocol.reference == "train" and real["subset_digest"] != train["subset_digest"]:
        raise refuse(path, f"features of other training images than those of {train['run']}")


def check_fake(fake: dict[str, Any], snapshot: dict[str, Any], real: dict[str, Any], path: Path) -> None:
    """Raise ConfigError unless features `fake` are those of `snapshot`, computed as the reference's were."""
    if fake["snapshot_sha256"] != snapshot["sha256"]:
        raise ConfigError(f"{path}: of another snapshot; run `python -m metrics.features`")
    for key in SAME:
        if fake[key] != real[key]:
            raise refuse(path, f"{key} {fake[key]!r}, but the reference has {real[key]!r}")
    if "statistics" not in fake:
        raise ConfigError(f"{path}: features of an earlier version; run `python -m metrics.features` again")


def trained_images(real: dict[str, Any], train: dict[str, Any], subset: Path | None) -> Tensor | None:
    """Which of the reference images the run was trained on, int64; None where that is not known."""
    if real["reference"] == "train":
        return torch.arange(real["n_real"])
    if real["reference"] == "test" or subset is None:
        return None
    chosen = read_json(subset)
    if chosen["digest"] != train["subset_digest"]:
        raise ConfigError(f"{subset} lists other images than {train['run']} was trained on; give that run's subset")
    return torch.tensor(chosen["indices"])
