"""What runs leave, and how close two of them are."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from leangan.training import checkpoint

CLOSE = 0.02
"""Of a loss, after a dozen iterations. Where cuDNN picks its algorithm by speed, and where it adds in any order, runs
differ by float32's rounding. Adam without a first moment turns a gradient that is nothing but rounding into a whole
step, so that losses drift apart by up to three thousandths within so few iterations."""


def log(run_dir: Path) -> list[dict]:
    """The lines of train.jsonl without wall times."""
    lines = [json.loads(text) for text in (run_dir / "train.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("images_per_s", "seconds")} for line in lines]


def difference(lines: list[dict], expected: list[dict]) -> float:
    """The largest difference between the losses of two logs, relative where they are larger than 1."""
    pairs = [(a[name], b[name]) for a, b in zip(lines, expected, strict=True) for name in ("loss_g", "loss_d")]
    return max(abs(a - b) / max(abs(b), 1) for a, b in pairs)


def tensors(run_dir: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint by their path."""
    found, waiting = {}, [("", checkpoint.load_latest(run_dir / "ckpt", torch.device("cpu")))]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{key}", entry) for key, entry in value.items()]
        elif isinstance(value, torch.Tensor):
            found[path] = value
    return found
