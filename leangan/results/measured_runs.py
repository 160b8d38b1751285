"""What a run amounts to under one metric, by its rows: its curve, its best and its final snapshot, or why it has none.

Beside it what several seeds amount to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from leangan.results import metric_names

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


def failure(rows: pd.DataFrame) -> tuple[str, str] | None:
    """(status, reason) of the gravest row without a number, None where every row has one."""
    return _gravest(rows.itertuples())


def _gravest(rows: Iterable[Any]) -> tuple[str, str] | None:
    failed = [row for row in rows if row.status != "done"]
    if not failed:
        return None
    worst = min(failed, key=lambda row: SEVERITY.index(row.status))
    return worst.status, worst.reason


def runs_of(rows: pd.DataFrame, metric: str, best_by: str | None = None) -> list[Run]:
    """What the rows say about each run under `metric`.

    `best` is the value at the snapshot where `best_by` (default: the metric itself) is best, the earliest of equals;
    `final` the value at the last snapshot. A run with any failed row gives no number: a value from before a divergence
    is not the method's.
    """
    judge = metric_names.parse(best_by or metric)
    by_label: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows.sort_values("kimg", kind="stable").itertuples():
        by_label.setdefault((row.run, row.method, row.preset), []).append(row)
    found = []
    for (run, method, preset), of_run in sorted(by_label.items()):
        seed = int(of_run[0].seed)
        if failed := _gravest(of_run):
            status, reason = failed
            found.append(Run(run, method, seed, status, reason, [], preset=preset))
            continue
        curve = [(row.kimg, row.value) for row in of_run if row.metric == metric]
        judged = {row.kimg: row.value for row in of_run if row.metric == judge.name and not np.isnan(row.value)}
        kimgs = [kimg for kimg, _ in curve if kimg in judged]
        if not kimgs:
            continue
        best_kimg = (max if judge.higher_is_better else min)(kimgs, key=judged.__getitem__)
        best, (final_kimg, final) = dict(curve)[best_kimg], curve[-1]
        found.append(Run(run, method, seed, "done", None, curve, best, best_kimg, final, final_kimg, preset))
    return found


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
