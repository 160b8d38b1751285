"""Features on disk: a safetensors file with what they were computed from in its header."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json, write_atomic
from leangan.metrics.base import Features

CPU = torch.device("cpu")


def part_file(index: Path, snapshot: str, seed: int = 0) -> Path:
    """Where the features of the fakes of one snapshot and evaluation seed lie, beside the `index` of a run's fakes."""
    name = Path(snapshot)
    return index.with_suffix("") / (f"{name.stem}-s{seed}{name.suffix}" if seed else name.name)


def remove_features(index: Path) -> None:
    """Delete the features of a run's fakes: first `index`, which marks them as complete, then their folder."""
    index.unlink(missing_ok=True)
    if (folder := index.with_suffix("")).exists():
        shutil.rmtree(folder)


def save_features(path: Path, features: Features | None, meta: dict[str, Any]) -> None:
    """Write `features` (None: there are none, for a reason that `meta` gives) and `meta`, all or nothing."""
    tensors = {}
    if features is not None:
        tensors["pooled"] = features.pooled.contiguous()
        if features.logits is not None:
            tensors["logits"] = features.logits.contiguous()
    write_atomic(path, save(tensors, {"meta": json.dumps(meta)}))


def load_meta(path: Path) -> dict[str, Any]:
    """What a feature file says of itself. Raises ConfigError."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(parse_json((file.metadata() or {})["meta"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: no feature file ({error}); run `leangan features`") from error


def load_features(path: Path, device: torch.device = CPU) -> Features | None:
    """The features of a file, on `device`; None where it holds none."""
    extractor = load_meta(path).get("extractor")
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}
    if not tensors:
        return None
    named = tensors.keys() - {"logits"} == {"pooled"}
    if not named or any(t.ndim != 2 or len(t) != len(tensors["pooled"]) for t in tensors.values()):
        raise ConfigError(f"{path}: holds no matrix of features; delete it and run `leangan features`")
    return Features(**tensors, extractor=extractor)


def load_reference(path: Path, device: torch.device = CPU) -> Features:
    """The features of a reference set, on `device`. Raises ConfigError if the file holds none."""
    if (features := load_features(path, device)) is None:
        raise ConfigError(f"{path}: holds no features; delete it and run `leangan features`")
    return features
