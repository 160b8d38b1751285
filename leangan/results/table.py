"""Reading results.csv, and what one run amounts to: its curve, its best and its final snapshot."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.metrics.base import OWN_FAMILIES
from leangan.results import metric_names
from leangan.results.collect import rows_of, to_csv

NUMBERS = [
    "images", "resolution", "seed", "kimg", "value", "spread", "n_real", "n_fake", "total_kimg",
    "published_kimg", "protocol.input_px", "protocol.eval_seeds", "provenance.seconds", "provenance.images_per_s",
]  # fmt: skip
FLAGS = ["conditional", "proxy", "protocol.tf32", "provenance.dirty", "provenance.tf32"]
REQUIRED = [
    "run", "dataset", "resolution", "images", "conditional", "backbone", "preset", "method", "method_title",
    "seed", "kimg", "metric", "value", "proxy", "status", "reason", "source",
]  # fmt: skip
SEVERITY = ["error", "diverged", "skip"]
NOT_YET_RUN = "not yet run"
"""The status of a planned run without rows."""

PROTOCOL = [
    "protocol.name", "protocol.extractor", "protocol.extractor_sha256", "protocol.input_px",
    "protocol.resize", "protocol.library", "protocol.tf32", "protocol.statistics", "protocol.eval_seeds", "n_real",
    "n_fake", "reference", "proxy",
]  # fmt: skip
"""The columns that must agree before two values of a metric may share a column, a mean or a ranking."""


def read_results(path: str | Path) -> pd.DataFrame:
    """The table written by leangan.results.collect, with numbers, flags and missing values as such.

    Raises ConfigError where the file is missing, is no such table, is empty, or calls a proxy FID, KID or IS.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path} is missing. Write it with leangan collect.")
    return parse_results(Path(path).read_text(), str(path))


def parse_results(text: str, where: str) -> pd.DataFrame:
    """The same from the text of such a table; `where` names its source in messages."""
    table = _strings(text)
    missing = [name for name in REQUIRED if name not in table]
    if missing or table.empty:
        lack = f"lacks the columns {', '.join(missing)}" if missing else "holds no rows"
        raise ConfigError(f"{where} {lack}. Write it with leangan collect.")
    return _typed(table, where)


def stored_results(specs: Iterable[RunSpec], protocol: str, folder: Path) -> pd.DataFrame:
    """The same of these runs under one protocol, from the files in `folder`, results/<scale>/rows."""
    lines = rows_of(specs, protocol, folder)
    return parse_results(to_csv(lines), str(folder)) if lines else no_results()


def no_results() -> pd.DataFrame:
    """The table without rows."""
    return _typed(pd.DataFrame(columns=REQUIRED, dtype=object), "")


def _strings(text: str) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _typed(table: pd.DataFrame, where: str) -> pd.DataFrame:
    for name in NUMBERS:
        table[name] = pd.to_numeric(table[name]) if name in table else np.nan
    for name in FLAGS:
        if name in table:
            table[name] = table[name].map({"true": True, "false": False}).astype(object)  # Python's True, as in a row
    for name in {*PROTOCOL, "setting", "submitted_by"} - set(table):
        table[name] = np.nan
    table["protocol.tf32"] = table["protocol.tf32"].eq(True).astype(object)  # rows that state nothing: without
    table["metric"] = table["metric"].fillna("")
    for name in table.loc[table["proxy"].eq(True) & table["status"].eq("done"), "metric"].unique():
        if any(metric_names.parse(name, where).family in families for families in OWN_FAMILIES.values()):
            raise ConfigError(f"{where}: {name!r} is a proxy; FID, KID and IS are names of Inception's metrics only.")
    return table


def methods_of(row: pd.Series) -> list[dict[str, str]]:
    """The plugins of the run as the row's provenance lists them: name, code_sha256, home; empty if not stated."""
    return _list_in(row, "provenance.methods")


def earlier_commits_of(row: pd.Series) -> list[str]:
    """The commits other than the row's own under which the run was trained before an interruption."""
    return _list_in(row, "provenance.earlier_commits")


def _list_in(row: pd.Series, key: str) -> list[Any]:
    stated = row.get(key)
    return json.loads(stated) if isinstance(stated, str) else []


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

    `best` is the value at the snapshot where `best_by` (default: the metric itself) is best, the
    earliest of equals; `final` the value at the last snapshot. A run with any failed row gives no
    number: a value from before a divergence is not the method's.
    """
    judge = metric_names.parse(best_by or metric)
    by_label: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows.sort_values("kimg", kind="stable").itertuples():
        by_label.setdefault((row.run, row.method, row.preset), []).append(row)
    found = []
    for (run, method, preset), of_run in sorted(by_label.items()):
        seed = int(of_run[0].seed)
        if failed := _gravest(of_run):
            found.append(Run(run, method, seed, *failed, [], preset=preset))
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


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1), which one value does not have."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def over_seeds(curves: list[pd.Series]) -> pd.DataFrame:
    """Mean, min and max of the curves of several runs at each kimg, their index, that all of them have."""
    table = pd.concat(curves, axis=1, join="inner").astype(float)
    return pd.DataFrame({"mean": table.mean(axis=1), "min": table.min(axis=1), "max": table.max(axis=1)})


def mean_curve(runs: list[Run]) -> pd.DataFrame:
    """`over_seeds` of the metric's values."""
    return over_seeds([pd.Series(dict(run.curve)) for run in runs])
