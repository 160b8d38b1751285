"""`train.jsonl`: means over each tick, one JSON object a line, rewound on resume."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leangan.core.files import attach_path, write_atomic
from leangan.core.ranks import mean_over_ranks


class Tally:
    """Means of named values over a tick and over the ranks, kept on the device so that no step waits for it.

    Counts are those of `add`, not of elements: batches are equally large, and a count that does not depend on how
    they are cut lets another number of ranks continue the tick. The sums stay where they are from tick to tick.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, **values: Tensor) -> None:
        """Add the mean of each tensor, this rank's part of a batch."""
        for name, value in values.items():
            mean = value.detach().mean(dtype=torch.float64)
            if name in self.sums:
                self.sums[name] += mean
            else:
                self.sums[name] = mean
        self.count(dict.fromkeys(values, 1))

    def count(self, times: dict[str, int]) -> None:
        """Note that each name was added to its sum so many times."""
        for name, number in times.items():
            self.counts[name] = self.counts.get(name, 0) + number

    def means(self) -> dict[str, float]:
        """The mean of each value since the last `clear`; the one place where the device is waited for."""
        if not self.counts:
            return {}
        totals = mean_over_ranks(torch.stack([self.sums[name] for name in self.counts])).tolist()
        return {name: total / count for total, (name, count) in zip(totals, self.counts.items(), strict=True)}

    def clear(self) -> None:
        for total in self.sums.values():
            total.zero_()
        self.counts = {}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": {name: mean_over_ranks(self.sums[name]) for name in self.counts}, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


def non_finite(means: dict[str, float]) -> list[str]:
    """The names whose mean is nan or infinite."""
    return [name for name, mean in means.items() if not math.isfinite(mean)]


def append(path: Path, line: dict[str, Any]) -> None:
    """Add one line, flushed to disk: a checkpoint that outlives a power failure finds the lines before it."""
    with attach_path(path), open(path, "a") as file:
        file.write(json.dumps({k: _rounded(v) for k, v in line.items()}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def rewind(path: Path, cur_nimg: int) -> None:
    """Drop the lines after `cur_nimg` and a last line that a crash cut off: the run writes them again."""
    if not path.exists():
        return
    kept = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            if json.loads(text)["cur_nimg"] <= cur_nimg:
                kept.append(text + "\n")
        except (ValueError, TypeError, KeyError):
            break
    write_atomic(path, "".join(kept))


def _rounded(value: Any) -> Any:
    """Seven significant digits; float32 has no more."""
    return float(f"{value:.7g}") if isinstance(value, float) else value
