"""Refuse mismatched inputs: features of other data, networks or snapshots, and snapshots of another training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json, read_json, sha256
from leangan.core.spec import NO_SPEC, RunSpec, check_scheme
from leangan.data.known_sets import find_test_split
from leangan.metrics.extractor_facts import library
from leangan.metrics.protocols import Protocol
from leangan.training.snapshot import HEADER

OF_ROW = ("extractor", "extractor_sha256", "input_px", "resize", "library", "tf32")
"""What a row says of the features behind it."""

SAME = (*OF_ROW, "norms")
"""What features must share to be compared."""

OF_REAL = (*SAME, "dataset", "resolution", "dataset_sha256", "subset_digest", "reference", "n_real")


def refuse(path: Path, why: str) -> ConfigError:
    """The error for mismatched features in `path`."""
    return ConfigError(f"{path}: {why}; delete it and run the same command again to compute it anew")


def read_run(run_dir: Path) -> tuple[RunSpec, dict[str, Any]]:
    """(spec, content of train.json) of a run that has ended.

    Raises ConfigError if spec.json is missing or damaged, and if the two files belong to different runs.
    """
    train = read_json(run_dir / "train.json")
    spec = _read_spec(run_dir)
    if train.get("digest") != spec.digest:
        raise other_training(run_dir, run_dir / "train.json", "its digest is not the one in spec.json")
    return spec, train


def _read_spec(run_dir: Path) -> RunSpec:
    path = run_dir / "spec.json"
    try:
        fields = read_json(path)
    except FileNotFoundError:
        raise _without_spec(path, "is missing") from None
    except ConfigError:
        raise _without_spec(path, "is damaged") from None
    check_scheme(fields, str(path))
    try:
        return RunSpec.from_fields(fields)
    except NO_SPEC as error:
        raise _without_spec(path, f"is damaged ({error!r})") from None


def _without_spec(path: Path, why: str) -> ConfigError:
    """The error for a spec.json in a run's folder that cannot be read.

    Only training writes that file. A run whose train.json is deleted is trained again: it continues from its last
    checkpoint, ends at once and writes both files.
    """
    result = path.with_name("train.json")
    return ConfigError(f"{path} {why}: delete {result} and run the same command; training then writes both again")


def check_snapshot(run_dir: Path, snapshot: dict[str, Any], train: dict[str, Any]) -> None:
    """Raise ConfigError unless the file of `snapshot` is the one that `train`, the run's train.json, lists.

    Its sha256 must be the listed one. Its header must have the `origin` (data and code) of train.json.
    """
    path = run_dir / snapshot["file"]
    if not path.is_file():
        raise other_training(run_dir, path, "the file is missing, but train.json lists it")
    if sha256(path) != snapshot["sha256"]:
        raise other_training(run_dir, path, "its sha256 is not the one in train.json")
    try:
        with safe_open(str(path), framework="pt") as file:
            origin = dict(parse_json((file.metadata() or {})[HEADER])["origin"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise other_training(run_dir, path, f"its header states no origin ({error!r})") from None
    if origin != train["origin"]:
        differing = [key for key in train["origin"] if origin.get(key, ...) != train["origin"][key]]
        raise other_training(run_dir, path, f"its origin differs from train.json in {' and '.join(differing)}")


def other_training(run_dir: Path, path: Path, why: str) -> ConfigError:
    """The error for a file in `run_dir` that another training wrote."""
    again = f"delete train.json, ckpt and snapshots in {run_dir} and run the same command"
    return ConfigError(f"{path}: {why}; train the run again: {again}")


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
        if real["dataset"] != (split := find_test_split(spec.dataset)):
            raise refuse(path, f"features of {real['dataset']}, but the test images of {spec.dataset} are {split}")
    elif real["dataset_sha256"] != train["origin"]["dataset_sha256"]:
        changed = "if the data set itself has changed, delete the run's folder instead"
        raise refuse(path, f"features of other data than {train['run']} was trained on ({changed})")
    if protocol.reference == "train" and real["subset_digest"] != train["origin"]["subset_digest"]:
        raise refuse(path, f"features of other training images than those of {train['run']}")


def check_arithmetic(real: dict[str, Any], tf32: bool, path: Path) -> None:
    """Raise ConfigError unless reference features and the fakes' agree in whether TF32 is used."""
    if real["tf32"] != tf32:
        words = {True: "with TF32", False: "without TF32"}
        raise refuse(
            path,
            f"features computed {words[real['tf32']]}, but on this device those of the run's fakes are computed"
            f" {words[tf32]}; --tf32 must be given for the reference where spec.json says tf32, and nowhere else",
        )


def check_fake(fake: dict[str, Any], snapshot: dict[str, Any], real: dict[str, Any], path: Path) -> None:
    """Raise ConfigError unless features `fake` are those of `snapshot`, computed as the reference's were."""
    if fake["snapshot_sha256"] != snapshot["sha256"]:
        raise ConfigError(f"{path}: of another snapshot; run `leangan features`")
    if not {*SAME, "statistics"} <= fake.keys():
        raise ConfigError(f"{path}: features of an earlier version; run `leangan features` again")
    for key in SAME:
        if fake[key] != real[key]:
            raise refuse(path, f"{key} {fake[key]!r}, but the reference has {real[key]!r}")


def trained_images(real: dict[str, Any], train: dict[str, Any], subset: Path | None) -> Tensor | None:
    """Which of the reference images the run was trained on, int64; None where that is not known."""
    if real["reference"] == "train":
        return torch.arange(real["n_real"])
    if real["reference"] == "test" or subset is None:
        return None
    chosen = read_json(subset)
    check_subset(chosen, train, subset)
    return torch.tensor(chosen["indices"])


def check_subset(chosen: dict[str, Any], train: dict[str, Any], path: Path) -> None:
    """Raise ConfigError unless the subset `chosen`, read from `path`, lists the images the run was trained on."""
    if chosen["digest"] != train["origin"]["subset_digest"]:
        raise ConfigError(f"{path} lists other images than {train['run']} was trained on; give that run's subset")
