"""The table of an artefact: a row per method, mean and deviation over seeds. A method without a number shows why.

The columns are the artefact's settings under each metric, each followed by the published number. Where the grids have
titles, these head the rows instead, and the columns are the metrics and what the training logs say (`training` of the
layout). Each column keeps to one protocol, which the caption states.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from leangan.artefacts.artefact import Artefact, Group
from leangan.artefacts.captions import caption
from leangan.artefacts.columns import Column
from leangan.artefacts.table_formats import Cell, Table
from leangan.results import scores
from leangan.results.measured_runs import NO_VALUE, Run, mean_and_std, seeds_of
from leangan.results.metric_names import Metric
from leangan.results.scores import Score
from leangan.results.training_log import TRAINING, value_at_end

WIDEST = 12
"""Columns of numbers that stand side by side; a table of more goes on below."""


def measure_table(artefact: Artefact, rows_dir: Path) -> pd.DataFrame:
    """The table's numbers in full precision: a line per column, snapshot and method, or per title, method and quantity.

    `n` and `planned` count seeds; `difference` is the measured mean minus the published number, `unranked` why the
    number does not rank the method. `rows_dir` is results/<scale>/rows, the folder with the training logs.
    """
    lines = _lines_by_title(artefact, rows_dir) if artefact.groups else _lines_by_setting(artefact)
    table = pd.DataFrame(lines)
    return table.astype({name: float for name in ("mean", "std", "published", "difference") if name in table})


def build_table(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """The artefact's table from `numbers` (of `measure_table`), ready to print."""
    return _build_by_title(artefact, numbers) if artefact.groups else _build_by_setting(artefact, numbers)


def _lines_by_setting(artefact: Artefact) -> Iterator[dict[str, Any]]:
    for column in artefact.columns:
        reported = {method: artefact.published_line(column, method) for method in artefact.methods}
        for snapshot, method in itertools.product(("best", "final"), artefact.methods):
            runs, paper = column.runs_of(method), reported[method]
            summary = _summary((run, getattr(run, snapshot)) for run in column.finished_runs(method))
            mean = summary["mean"]
            yield {
                "snapshot": snapshot,
                "method": method,
                "method_title": artefact.methods[method],
                **column.setting,
                "preset": ", ".join(dict.fromkeys(run.preset for run in runs)),
                "metric": column.metric.name,
                "proxy": column.proxy,
                "protocol": column.measured.protocol.name,
                **summary,
                **_outcome(runs),
                "unranked": artefact.unranked(column, method),
                "published": None if paper is None else paper.number,
                "difference": None if paper is None or mean is None else mean - paper.number,
                "published_spread": "" if paper is None else paper.std_text,
                "published_doubt": "" if paper is None else paper.caveat,
                "published_verified": "" if paper is None else paper.verified,
            }


def _lines_by_title(artefact: Artefact, rows_dir: Path) -> Iterator[dict[str, Any]]:
    for group in artefact.groups:
        for method in group.methods:
            shared = {
                "group": group.title,
                "method": method,
                "method_title": artefact.methods[method],
                **group.columns[0].setting,
            }
            for quantity, snapshot, column, values in _quantities(artefact, group, method, rows_dir):
                outcome = _outcome(column.runs_of(method))
                outcome["unranked"] = artefact.unranked(column, method) if snapshot else ""
                yield {**shared, **outcome, "quantity": quantity, "snapshot": snapshot, **_summary(values)}


def _quantities(
    artefact: Artefact, group: Group, method: str, rows_dir: Path
) -> Iterator[tuple[str, str, Column, list[tuple[Run, float | None]]]]:
    """(name, snapshot, column, value of each run) of everything that the table shows of a method under a title.

    What training logs say belongs to the first column, whether or not its metric has a value.
    """
    for column, snapshot in itertools.product(group.columns, ("best", "final")):
        values = [(run, getattr(run, snapshot)) for run in column.finished_runs(method)]
        yield column.metric.name, snapshot, column, values
    first = group.columns[0]
    trained = [run for run in first.runs_of(method) if run.status in ("done", NO_VALUE)]
    for key in artefact.training:
        yield key, "", first, [(run, value_at_end(rows_dir, run.run, key)) for run in trained]


def _summary(values: Iterable[tuple[Run, float | None]]) -> dict[str, Any]:
    """Mean and deviation of the runs that have a value, and of how many seeds they are."""
    known = [(run, value) for run, value in values if value is not None and not math.isnan(value)]
    mean, std = mean_and_std([value for _, value in known]) if known else (None, None)
    return {"mean": mean, "std": std, "n": seeds_of(run for run, _ in known)}


def _outcome(runs: list[Run]) -> dict[str, Any]:
    """How many seeds are planned, and what became of the runs under a metric."""
    return {
        "planned": seeds_of(runs),
        "status": ", ".join(dict.fromkeys(run.status for run in runs)),
        "reason": "; ".join(dict.fromkeys(filter(None, map(_fate, runs)))),
    }


def _fate(run: Run) -> str:
    """Why a run, or one of its snapshots, has no value; nothing for one that has all."""
    if run.status == "done":
        return run.reason or ""
    return f"{run.status}: {run.reason}" if run.reason else run.status


def _build_by_setting(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """A column with published numbers shows these, too, and how far the best snapshots are from them."""
    table = Table(caption(artefact), [], [(title, []) for title in artefact.methods.values()])
    height = 2 * len(artefact.methods)
    for position, column in enumerate(artefact.columns):
        lines = numbers.iloc[position * height : (position + 1) * height]
        cells = _cells_of_column(table, column, lines)
        for own in cells.values():
            for (_, row), cell in zip(table.rows, own, strict=True):
                row.append(cell)
        table.groups.append((f"{column.metric.label} {column.metric.arrow}, {column.title}", list(cells)))
    labels = [column.metric.label for column in artefact.columns]
    table.blocks = _blocks(list(zip(labels, [len(names) for _, names in table.groups], strict=True)))
    return table


def _cells_of_column(table: Table, column: Column, lines: pd.DataFrame) -> dict[str, list[Cell]]:
    """The cells below each heading of a column; the best ranked mean is bold where it is ahead of all other ranked."""
    cells = {}
    for snapshot in ("best", "final"):
        of_snapshot = lines[lines["snapshot"] == snapshot]
        ahead = scores.winner(
            map(_score, of_snapshot[of_snapshot["n"] > 0].itertuples()), column.metric.higher_is_better
        )
        cells[snapshot] = [
            _measured_cell(
                table,
                line,
                column.metric.text,
                bold=ahead is not None and not line.unranked and bool(line.mean == ahead.mean),
            )
            for line in of_snapshot.itertuples()
        ]
    best = lines[lines["snapshot"] == "best"]
    if best["published"].notna().any():
        cells["published"] = [_published_cell(table, line, column.metric) for line in best.itertuples()]
        cells["difference"] = [_difference_cell(line, column.metric) for line in best.itertuples()]
    return cells


def _build_by_title(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """Settings differ between the titles, so that no number is bold."""
    metrics = {column.metric.name: column.metric for column in artefact.columns}
    headings = [(f"{metric.label} {metric.arrow}", ["best", "final"]) for metric in metrics.values()]
    if artefact.training:
        headings.append(("Training", [TRAINING[key][0] for key in artefact.training]))
    table = Table(caption(artefact), headings, [])
    printed = {key: _with_decimals(decimals) for key, (_, decimals) in TRAINING.items()}
    printed |= {name: metric.text for name, metric in metrics.items()}
    for title, lines in numbers.groupby("group", sort=False):
        table.rows.append((title, []))
        for _, of_method in lines.groupby("method", sort=False):
            first, *others = of_method.itertuples()
            cells = [_measured_cell(table, first, printed[first.quantity])]
            # Why there is no number, the first cell says for all that have none for the same reason.
            cells += [
                _measured_cell(table, line, printed[line.quantity])
                if line.n or line.reason != first.reason
                else Cell("–")
                for line in others
            ]
            table.rows.append((first.method_title, cells))
    return table


def _with_decimals(decimals: int) -> Callable[[float], str]:
    return lambda number: f"{number:.{decimals}f}"


def _blocks(widths: list[tuple[str, int]]) -> list[int]:
    """How many groups of columns stand side by side in each block, from each group's metric and width.

    All where they fit into WIDEST columns; else those of one metric, evenly.
    """
    if sum(width for _, width in widths) <= WIDEST:
        return [len(widths)]
    blocks = []
    for _, of_metric in itertools.groupby(widths, key=lambda group: group[0]):
        own = [width for _, width in of_metric]
        count = -(-len(own) // max(1, WIDEST // max(own)))
        blocks += [len(own[i::count]) for i in range(count)]
    return blocks


def _score(line: Any) -> Score:
    return Score(line.mean, None if pd.isna(line.std) else line.std, line.n, "", ranked=not line.unranked)


def _measured_cell(table: Table, line: Any, printed: Callable[[float], str], bold: bool = False) -> Cell:
    """Mean ± deviation, with the number of seeds if some are missing; or why there is no mean. A note says why a mean
    does not rank the method.
    """
    text = ", ".join(status for status in line.status.split(", ") if status != "done") or "–"
    if line.n:
        text = " ± ".join(printed(number) for number in (line.mean, line.std) if not pd.isna(number))
        text += f" (n = {line.n} of {line.planned})" if line.n < line.planned else ""
    notes = [
        "" if line.reason == text else line.reason,
        f"not ranked: {line.unranked}" if line.n and line.unranked else "",
    ]
    return Cell(text, table.note("; ".join(filter(None, notes))), bold)


def _published_cell(table: Table, line: Any, metric: Metric) -> Cell:
    if pd.isna(line.published):
        return Cell("–")
    return Cell(f"{metric.text(line.published)} {line.published_spread}".strip(), table.note(line.published_doubt))


def _difference_cell(line: Any, metric: Metric) -> Cell:
    if pd.isna(line.difference):
        return Cell("–")
    return Cell(f"{metric.in_label_unit(line.difference):+.{metric.digits}f}".replace("-", "−"))
