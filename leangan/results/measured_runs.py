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

NO_VALUE = "no value"
"""The status of a run under a metric that has a value for none of its snapshots."""


@dataclass(frozen=True)
class Run:
    """One training run under one metric. `curve` is [(kimg, value), ...].

    Unless `status` is done, there is no curve, and values and their kimg are NaN. A snapshot for which the metric has
    no value is left out of the curve; if it is the best or the last one, that value is NaN, and `reason` says why. A
    training with several labels is a Run for each of them, with its `method` and `preset`.
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
    """The gravest row that says why a run has no numbers; None where it has them.

    That a metric has no value for the images, or failed, is said of this metric alone.
    """
    failed = (row for row in rows if row.status == "diverged" or (row.status != "done" and not row.metric))
    return min(failed, key=lambda row: SEVERITY.index(row.status), default=None)


def runs_of(rows: Iterable[Row], metric: Metric, best_by: Metric | None = None) -> list[Run]:
    """What the rows say about each run under `metric`.

    `best` is the value at the snapshot where `best_by` (default: the metric itself) is best, the earliest of equals;
    `final` the value at the last snapshot. A run that failed or diverged gives no number: a value from before a
    divergence is not the method's.
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
        values, judged = _values(of_run, metric), _values(of_run, judge)
        kimgs = [kimg for kimg in values if kimg in judged]
        if not kimgs:
            continue
        curve = [(kimg, value) for kimg, value in values.items() if not math.isnan(value)]
        reason = _reason([row for row in of_run if row.metric == metric.name])
        if not curve:
            found.append(Run(run, method, seed, NO_VALUE, reason, [], preset=preset))
            continue
        judging = [kimg for kimg in kimgs if not math.isnan(judged[kimg])]
        if not judging:
            reason = f"no snapshot is the best: {judge.label}, which says so, has no value"
        best_kimg = (max if judge.higher_is_better else min)(judging, key=judged.__getitem__, default=math.nan)
        final_kimg = max(values)
        best, final = values.get(best_kimg, math.nan), values[final_kimg]
        found.append(Run(run, method, seed, "done", reason, curve, best, best_kimg, final, final_kimg, preset))
    return found


def _values(rows: Iterable[Row], metric: Metric) -> dict[float, float]:
    """The value of a metric by kimg, in the order of training; NaN where it has none."""
    name = metric.name
    points = ((row.kimg, row.value) for row in rows if row.metric == name and row.kimg is not None)
    return dict(sorted((float(kimg), math.nan if value is None else float(value)) for kimg, value in points))


def _reason(rows: list[Row]) -> str | None:
    """Why snapshots have no value under a metric, and which if others have one; None where all have one."""
    lacking = [row for row in rows if row.value is None]
    several = len(lacking) < len(rows)
    said = (f"at {row.kimg:,.9g} kimg {row.reason}" if several else row.reason or "" for row in lacking)
    return "; ".join(dict.fromkeys(said)) or None


def seeds_of(runs: Iterable[Run]) -> int:
    """How many training seeds the runs have."""
    return len({run.seed for run in runs})


def mean_and_std(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1), which one value does not have; the mean of no value is NaN."""
    if not values:
        return math.nan, None
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def mean_and_range(curves: list[pd.Series]) -> pd.DataFrame:
    """Mean, min and max of the curves of several runs at each kimg, their index, that all of them have."""
    table = pd.concat(curves, axis=1, join="inner").astype(float)
    return pd.DataFrame({"mean": table.mean(axis=1), "min": table.min(axis=1), "max": table.max(axis=1)})


def mean_curve(runs: list[Run]) -> pd.DataFrame:
    """`mean_and_range` of the metric's values."""
    return mean_and_range([pd.Series(dict(run.curve)) for run in runs])
