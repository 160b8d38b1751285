"""What a run amounts to under one metric, by its rows: its curve, its best and its final snapshot, or why it has none.

Beside it what several seeds amount to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leangan.results.metric_names import Metric
from leangan.runs.row import Row

SEVERITY = ["error", "diverged", "skip"]
NOT_YET_RUN = "not yet run"
"""The status of a planned run without rows."""


@dataclass(frozen=True)
class Run:
    """One training run under one metric. `curve` is [(kimg, value), ...].

    Unless `status` is done, there is no curve, and values and their kimg are NaN. A training with several labels is a
    Run for each of them, with its `method` and `preset`.
    """

    run: str
    method: str
    seed: int
    status: str
    reason: str | None
    curve: list[tuple[float, float]]
    best: float = math.nan
    best_kimg: float = math.nan
    final: float = math.nan
    final_kimg: float = math.nan
    preset: str = ""


def failure(rows: Iterable[Row]) -> Row | None:
    """The gravest row without a number, None where every row has one."""
    return min((row for row in rows if row.status != "done"), key=lambda row: SEVERITY.index(row.status), default=None)


def runs_of(rows: Iterable[Row], metric: Metric, best_by: Metric | None = None) -> list[Run]:
    """What the rows say about each run under `metric`.

    `best` is the value at the snapshot where `best_by` (default: the metric itself) is best, the earliest of equals;
    `final` the value at the last snapshot. A run with any failed row gives no number: a value from before a divergence
    is not the method's.
    """
    judge = best_by or metric
    by_label: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        by_label.setdefault((row.run, row.method, row.preset), []).append(row)
    found = []
    for (run, method, preset), of_run in sorted(by_label.items()):
        seed = of_run[0].seed
        if failed := failure(of_run):
            found.append(Run(run, method, seed, failed.status, failed.reason, [], preset=preset))
            continue
        curve, judged = _curve(of_run, metric), dict(_curve(of_run, judge))
        kimgs = [kimg for kimg, _ in curve if kimg in judged]
        if not kimgs:
            continue
        best_kimg = (max if judge.higher_is_better else min)(kimgs, key=judged.__getitem__)
        best, (final_kimg, final) = dict(curve)[best_kimg], curve[-1]
        found.append(Run(run, method, seed, "done", None, curve, best, best_kimg, final, final_kimg, preset))
    return found


def _curve(rows: Iterable[Row], metric: Metric) -> list[tuple[float, float]]:
    """(kimg, value) of the rows of one metric, in the order of training."""
    name = metric.name
    points = ((row.kimg, row.value) for row in rows if row.metric == name)
    return sorted((float(kimg), float(value)) for kimg, value in points if kimg is not None and value is not None)


def seeds_of(runs: Iterable[Run]) -> int:
    """How many training seeds the runs have."""
    return len({run.seed for run in runs})


def mean_and_std(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1), which one value does not have."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def mean_and_range(curves: list[pd.Series]) -> pd.DataFrame:
    """Mean, min and max of the curves of several runs at each kimg, their index, that all of them have."""
    table = pd.concat(curves, axis=1, join="inner").astype(float)
    return pd.DataFrame({"mean": table.mean(axis=1), "min": table.min(axis=1), "max": table.max(axis=1)})


def mean_curve(runs: list[Run]) -> pd.DataFrame:
    """`mean_and_range` of the metric's values."""
    return mean_and_range([pd.Series(dict(run.curve)) for run in runs])
