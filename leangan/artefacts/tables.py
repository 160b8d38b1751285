"""The table of an artefact: methods x settings, mean and deviation over seeds, the published value beside.

Each column keeps to one protocol, which the caption states. A method without a number shows why.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from leangan.artefacts import agreement
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.artefacts.table_formats import Cell, Table
from leangan.results import published, scores
from leangan.results.metric_names import EXTRACTORS, Metric
from leangan.results.scores import Score
from leangan.results.table import Run, mean_and_deviation, seeds_of

WIDEST = 12
"""Columns of numbers that stand side by side; a table of more goes on below."""


def measured(artefact: Artefact) -> pd.DataFrame:
    """The table's numbers in full precision: one line per column, snapshot and method. `n` and `planned` count seeds.

    `difference` is the measured mean minus the published number.
    """
    lines = []
    for position, column in enumerate(artefact.columns):
        reported = {method: artefact.beside(column, method) for method in artefact.methods}
        for snapshot, method in itertools.product(("best", "final"), artefact.methods):
            runs = column.of(method)
            done = column.done(method)
            values = [getattr(run, snapshot) for run in done]
            mean, deviation = mean_and_deviation(values) if values else (None, None)
            beside = reported[method]
            lines.append(
                {
                    "column": position,
                    "snapshot": snapshot,
                    "method": method,
                    "method_title": artefact.methods[method],
                    **column.setting,
                    "preset": ", ".join(dict.fromkeys(run.preset for run in runs)),
                    "metric": column.metric.name,
                    "proxy": column.proxy,
                    "protocol": column.protocol["name"],
                    "mean": mean,
                    "std": deviation,
                    "n": seeds_of(done),
                    "planned": seeds_of(runs),
                    "status": ", ".join(dict.fromkeys(run.status for run in runs)),
                    "reason": "; ".join(dict.fromkeys(reason(run) for run in runs if run.status != "done")),
                    "published": None if beside is None else beside["number"],
                    "difference": None if beside is None or mean is None else mean - beside["number"],
                    "published_spread": "" if beside is None else published.spread(beside),
                    "published_doubt": "" if beside is None else published.doubt(beside),
                    "published_verified": "" if beside is None else beside["verified"],
                }
            )
    return pd.DataFrame(lines).astype({"mean": float, "std": float, "published": float, "difference": float})


def build(artefact: Artefact, numbers: pd.DataFrame) -> Table:
    """The artefact's table from `numbers` (of `measured`), ready to print.

    Where a column has published numbers, these and how far the best snapshots are from them stand beside.
    """
    table = Table(caption(artefact), [], [(title, []) for title in artefact.methods.values()])
    for position, of_column in numbers.groupby("column", sort=False):
        metric = artefact.columns[position].metric
        shown = {"best": _measured, "final": _measured}
        if of_column["published"].notna().any():
            shown |= {"published": _published, "difference": _difference}
        for name, cell in shown.items():
            lines = of_column[of_column["snapshot"] == ("final" if name == "final" else "best")]
            ahead = scores.winner(map(_score, lines[lines["n"] > 0].itertuples()), metric.higher_is_better)
            for (_, cells), line in zip(table.rows, lines.itertuples(), strict=True):
                cells.append(cell(table, metric, line, ahead))
        table.groups.append((f"{metric.label} {metric.arrow}, {artefact.columns[position].title}", list(shown)))
    labels = [column.metric.label for column in artefact.columns]
    table.blocks = _blocks(list(zip(labels, [len(names) for _, names in table.groups], strict=True)))
    return table


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
    return Score(line.mean, None if pd.isna(line.std) else line.std, line.n, "")


def _measured(table: Table, metric: Metric, line: Any, ahead: Score | None) -> Cell:
    """Mean ± deviation, with the number of seeds if some are missing; or why there is no mean."""
    text = line.status or "–"
    if line.n:
        text = metric.text(line.mean, None if pd.isna(line.std) else line.std)
        text += f" (n = {line.n} of {line.planned})" if line.n < line.planned else ""
    return Cell(
        text,
        table.note("" if line.reason == text else line.reason),
        ahead is not None and bool(line.mean == ahead.mean),
    )


def _published(table: Table, metric: Metric, line: Any, ahead: Score | None) -> Cell:
    if pd.isna(line.published):
        return Cell("–")
    return Cell(f"{metric.text(line.published)} {line.published_spread}".strip(), table.note(line.published_doubt))


def _difference(table: Table, metric: Metric, line: Any, ahead: Score | None) -> Cell:
    if pd.isna(line.difference):
        return Cell("–")
    return Cell(f"{metric.shown(line.difference):+.{metric.digits}f}".replace("-", "−"))


def reason(run: Run) -> str:
    """Why the run has no number."""
    return f"{run.status}: {run.reason}" if run.reason else run.status


def caption(artefact: Artefact) -> str:
    """The layout's caption, then what the numbers are: protocol, averaging, training length, agreement with papers."""
    sentences = [artefact.caption.rstrip(". ") + "."]
    columns = [column for column in artefact.columns if any(map(column.done, artefact.methods))]
    if columns:
        sentences += _measured_sentences(artefact, columns)
    else:
        sentences.append("No run has finished.")
    sentences += agreement.sentences(artefact)
    presets: dict[str, list[str]] = {artefact.methods[spec.method]: [] for spec in artefact.specs}
    for spec in artefact.specs:
        known = presets[artefact.methods[spec.method]]
        known += [spec.preset] if spec.preset not in known else []
    if any(" / " in column.setting["preset"] for column in artefact.columns):
        own = "; ".join(f"{title}: {', '.join(names)}" for title, names in presets.items())
        sentences.append(f"Presets differ between methods, {own}.")
    if any(artefact.beside(column, method) is not None for column in artefact.columns for method in artefact.methods):
        sentences.append("Difference: best minus published.")
        lengths = sorted({spec.labels.full_kimg for spec in artefact.specs})
        if any(spec.total_kimg < spec.labels.full_kimg for spec in artefact.specs):
            sentences.append(f"The published runs are longer, {span(lengths)} kimg.")
    return " ".join(sentences)


def _measured_sentences(artefact: Artefact, columns: list[Column]) -> list[str]:
    runs = [column.done(method) for column in columns for method in artefact.methods]
    seeds = sorted({seeds_of(of_method) for of_method in runs if of_method})
    kimg = sorted({run.final_kimg for of_method in runs for run in of_method})
    judge = artefact.columns[0].metric
    extreme = "highest" if judge.higher_is_better else "lowest"
    return [
        *protocol_sentences(columns),
        "One seed." if seeds == [1] else f"Mean ± sample standard deviation over {span(seeds)} seeds.",
        f"Best: the snapshot of each run with the {extreme} {judge.label}; "
        f"final: the last one, after {span(kimg)} kimg (thousands of images shown to D).",
        *(["Bold: ahead of every other by more than the sum of both deviations."] if seeds[-1] > 1 else []),
    ]


def span(numbers: Sequence[float]) -> str:
    """A list of sorted numbers in words: "3" or "1 to 3"."""
    return " to ".join(f"{number:,.9g}" for number in dict.fromkeys((numbers[0], numbers[-1])))


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
        + f", {extractor} features{size}"
        + (" in TF32" if protocol["tf32"] else "")
        + f", {protocol['library']}, protocol {protocol['name']!r}"
        + (f", generators with {statistics} statistics" if statistics else "")
        + (f", each value the mean of {seeds:.0f} evaluations" if seeds and seeds > 1 else "")
    )
