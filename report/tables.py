"""The table of an artefact: methods x settings, mean and deviation over seeds, the published value beside.

Each column keeps to one protocol, which the caption states. A method without a number shows why.
"""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from report.artefact import Artefact, Column
from report.metric_names import EXTRACTORS, Metric
from report.results import Run, mean_and_deviation
from report.table_formats import Cell, Table


def measured(artefact: Artefact, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table's numbers in full precision: one line per column, snapshot and method.

    `published` (from read_published) is needed where the artefact's layout names published values.
    """
    lines = []
    for position, column in enumerate(artefact.columns):
        for snapshot, method in itertools.product(("best", "final"), artefact.methods):
            runs = column.of(method)
            values = [getattr(run, snapshot) for run in column.done(method)]
            mean, deviation = mean_and_deviation(values) if values else (None, None)
            beside = None
            if artefact.published and runs:
                beside = artefact.published.find(published, column.setting, method, column.metric, column.proxy)
            lines.append(
                {
                    "column": position,
                    "snapshot": snapshot,
                    "method": method,
                    "method_title": artefact.methods[method],
                    **column.setting,
                    "metric": column.metric.name,
                    "proxy": column.proxy,
                    "protocol": column.protocol["name"],
                    "mean": mean,
                    "std": deviation,
                    "n": len(values),
                    "planned": len(runs),
                    "status": ", ".join(dict.fromkeys(run.status for run in runs)),
                    "reason": "; ".join(dict.fromkeys(reason(run) for run in runs if run.status != "done")),
                    "published": None if beside is None else beside["number"],
                    "published_spread": "" if beside is None else beside["spread"],
                    "published_verified": "" if beside is None else beside["verified"],
                }
            )
    return pd.DataFrame(lines).astype({"mean": float, "std": float, "published": float})


def build(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """The artefact's table from `numbers` (of `measured`), ready to print."""
    table = Table(caption(artefact), [], [(title, []) for title in artefact.methods.values()])
    for (position, snapshot), lines in numbers.groupby(["column", "snapshot"], sort=False):
        metric = artefact.columns[position].metric
        heading = f"{metric.label} {metric.arrow}, {artefact.columns[position].title}"
        if not table.groups or table.groups[-1][0] != heading:
            table.groups.append((heading, []))
        table.groups[-1][1].append(snapshot)
        winner = lines["mean"].max() if metric.higher_is_better else lines["mean"].min()
        for (_, cells), line in zip(table.rows, lines.itertuples(), strict=True):
            text = _text(metric, line)
            reason = "" if line.reason == text else line.reason
            cells.append(Cell(text, table.note(reason), bool(line.mean == winner)))
        if artefact.published and snapshot == "final":
            table.groups[-1][1].append("published")
            for (_, cells), line in zip(table.rows, lines.itertuples(), strict=True):
                doubt = "published, not verified at its source" if line.published_verified == "no" else ""
                spread = f" {line.published_spread}" if line.published_spread.startswith("±") else ""
                text = "–" if pd.isna(line.published) else metric.text(line.published) + spread
                cells.append(Cell(text, table.note(doubt)))
    return table


def reason(run: Run) -> str:
    """Why the run has no number."""
    return f"{run.status}: {run.reason}" if run.reason else run.status


def _text(metric: Metric, line: Any) -> str:
    """Mean ± deviation, how many runs are behind it where some are missing, or why there is none."""
    if not line.n:
        return line.status or "–"
    text = metric.text(line.mean) + ("" if pd.isna(line.std) else f" ± {metric.text(line.std)}")
    return f"{text} (n = {line.n} of {line.planned})" if line.n < line.planned else text


def caption(artefact: Artefact) -> str:
    """The layout's caption, then what the numbers are: protocol, averaging, training length."""
    columns = [column for column in artefact.columns if any(map(column.done, artefact.methods))]
    if not columns:
        return f"{artefact.caption.rstrip('. ')}. No run has finished."
    runs = [column.done(method) for column in columns for method in artefact.methods]
    seeds = sorted({len(of_method) for of_method in runs if of_method})
    kimg = sorted({run.final_kimg for of_method in runs for run in of_method})
    judge = artefact.columns[0].metric
    extreme = "highest" if judge.higher_is_better else "lowest"
    sentences = [
        artefact.caption.rstrip(". ") + ".",
        *protocol_sentences(columns),
        "One seed." if seeds == [1] else f"Mean ± sample standard deviation over {_range(seeds)} seeds.",
        f"Best: the snapshot of each run with the {extreme} {judge.label}; "
        f"final: the last one, after {_range(kimg)} kimg (thousands of images shown to D).",
    ]
    return " ".join(sentences)


def _range(numbers: list[float]) -> str:
    """A list of sorted numbers in words: "3" or "1 to 3"."""
    return " to ".join(f"{number:,g}" for number in dict.fromkeys((numbers[0], numbers[-1])))


def protocol_sentences(columns: list[Column]) -> list[str]:
    """How the values were computed, one sentence per protocol; each says whether its metrics are proxies."""
    labels: dict[str, list[str]] = {}
    for column in columns:
        known = labels.setdefault(_protocol_words(column), [])
        if column.metric.label not in known:
            known.append(column.metric.label)
    return [f"{', '.join(of_protocol)}: {words}." for words, of_protocol in labels.items()]


def _protocol_words(column: Column) -> str:
    protocol = column.protocol
    reference = {"full": "the full set", "test": "the test set", "train": "the training images"}.get(
        protocol["reference"]
    )
    extractor = EXTRACTORS.get(protocol["extractor"], protocol["extractor"])
    size = f" at {protocol['input_px']:.0f} px ({protocol['resize']})" if protocol["input_px"] else ""
    statistics, seeds = protocol["statistics"], protocol["eval_seeds"]
    return (
        ("a proxy, not FID; " if column.proxy else "")
        + f"{protocol['n_fake']:,.0f} generated images"
        + (f" against {reference} ({protocol['n_real']:,.0f} images)" if reference else "")
        + f", {extractor} features{size}, {protocol['library']}, protocol {protocol['name']!r}"
        + (f", generators with {statistics} statistics" if statistics else "")
        + (f", each value the mean of {seeds:.0f} evaluations" if seeds and seeds > 1 else "")
    )
