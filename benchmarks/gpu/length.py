"""How long the trainings of a session may be, from the rate that has just been measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RUNS = 4
"""Trainings side by side."""

PRESET = "diffaugment-cifar-16bit"
"""The preset of the trainings."""

STEPS = (10, 25, 50, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
"""Lengths in kimg. A few fixed ones, so that the runs of several sessions are runs of one setting."""

AROUND_SECONDS = 100
"""What surrounds training: data, features of the reals, the measurement of four snapshots, tables and page."""

SLOWEST = 0.7
"""The rate of the slowest method, ADA, over that of the baseline, which is measured; and pictures, checkpoints."""


def images_per_s(folder: Path) -> float | None:
    """Images/s of RUNS trainings together, by the benchmark of runs side by side; None where none was measured.

    Where it did not come to RUNS, the rate of the most runs that it has, or of one by the first benchmark of speed:
    more of them are no slower together.
    """
    together = {line["runs"]: sum(line["rates"]) for line in lines(folder / "sharing.jsonl") if line["runs"] <= RUNS}
    alone = [line["images_per_s"] for line in lines(folder / "speed.jsonl") if line["preset"] == PRESET]
    return together[max(together)] if together else next(iter(alone), None)


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines; none where it is missing."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kimg(rate: float, seconds: float, runs: int) -> int | None:
    """The longest of STEPS that each of `runs` trainings reaches in `seconds`; None where not even the first fits.

    `rate` is the images/s of those side by side together.
    """
    reached = SLOWEST * rate / runs * (seconds - AROUND_SECONDS) / 1000
    return max((step for step in STEPS if step <= reached), default=None)
