"""The table of an artefact whose grids have titles: a row per method under the title of its grid.

Besides the metrics it shows what the training logs say (`training` of the layout). A method without a number shows why.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from leangan.artefacts import tables
from leangan.artefacts.artefact import Artefact, Group
from leangan.artefacts.table_formats import Cell, Table
from leangan.results.metric_names import Metric, parse
from leangan.results.table import Run, mean_and_deviation, seeds_of
from leangan.results.training_log import TRAINING, at_end

ACCURACY = (
    "D right: the share of images that D puts on the right side of 0, as it sees them, over the last quarter of the run"
)


def measured(artefact: Artefact, rows: Path) -> pd.DataFrame:
    """The table's numbers in full precision: one line per group, method, quantity and snapshot.

    `rows` is results/<scale>/rows, where the training logs lie.
    """
    lines = []
    for group in artefact.groups:
        for method in group.methods:
            runs = group.columns[0].of(method)
            shared = {
                "group": group.title,
                "method": method,
                "method_title": artefact.methods[method],
                **group.columns[0].setting,
                "planned": seeds_of(runs),
                "status": ", ".join(dict.fromkeys(run.status for run in runs)),
                "reason": "; ".join(dict.fromkeys(tables.reason(run) for run in runs if run.status != "done")),
            }
            lines += [{**shared, **quantity} for quantity in _quantities(artefact, group, method, runs, rows)]
    return pd.DataFrame(lines).astype({"mean": float, "std": float})


def _quantities(artefact: Artefact, group: Group, method: str, runs: list[Run], rows: Path) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of everything that the table shows of a method."""
    done = [run for run in runs if run.status == "done"]
    values: dict[tuple[str, str], list[tuple[Run, float | None]]] = {
        (column.metric.name, snapshot): [(run, getattr(run, snapshot)) for run in column.done(method)]
        for column, snapshot in itertools.product(group.columns, ("best", "final"))
    }
    values |= {(key, ""): [(run, at_end(rows, run.run, key)) for run in done] for key in artefact.training}
    lines = []
    for (quantity, snapshot), of_runs in values.items():
        numbers = [number for _, number in of_runs if number is not None]
        n = seeds_of(run for run, number in of_runs if number is not None)
        mean, deviation = mean_and_deviation(numbers) if numbers else (None, None)
        lines.append({"quantity": quantity, "snapshot": snapshot, "mean": mean, "std": deviation, "n": n})
    return lines


def build(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """The artefact's table from `numbers` (of `measured`), ready to print; settings differ, so none is bold."""
    metrics = {column.metric.name: column.metric for column in artefact.columns}
    headings = [(f"{metric.label} {metric.arrow}", ["best", "final"]) for metric in metrics.values()]
    if artefact.training:
        headings.append(("Training", [TRAINING[key][0] for key in artefact.training]))
    table = Table(caption(artefact), headings, [])
    for title, lines in numbers.groupby("group", sort=False):
        table.rows.append((title, []))
        for _, of_method in lines.groupby("method", sort=False):
            cells = [_cell(table, line, i == 0) for i, line in enumerate(of_method.itertuples())]
            table.rows.append((of_method["method_title"].iloc[0], cells))
    return table


def _cell(table: Table, line: Any, first: bool) -> Cell:
    """Mean ± deviation; where there is none the status with its reason, in the first cell of the row."""
    if not line.n:
        reason = "" if line.reason == line.status else line.reason
        return Cell(line.status, table.note(reason)) if first else Cell("–")
    missing = f" (n = {line.n} of {line.planned})" if line.n < line.planned else ""
    texts = [_text(line.quantity, number) for number in (line.mean, line.std) if not pd.isna(number)]
    return Cell(" ± ".join(texts) + missing, table.note(line.reason if missing else ""))


def _text(quantity: str, number: float) -> str:
    if quantity in TRAINING:
        return f"{number:.{TRAINING[quantity][1]}f}"
    metric: Metric = parse(quantity)
    return metric.text(number)


def caption(artefact: Artefact) -> str:
    """That of every table, and what D's accuracy is."""
    accuracy = any(key.startswith("accuracy") for key in artefact.training)
    return tables.caption(artefact) + (f" {ACCURACY}." if accuracy else "")
