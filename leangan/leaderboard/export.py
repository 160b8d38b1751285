"""The leaderboard as data: leaderboard.json, which workflow/schemas/leaderboard.schema.yaml describes, and a CSV.

Both hold one record per line of the page; the CSV leaves out what is nested.
"""

from __future__ import annotations

import json
from math import isnan

from leangan.leaderboard.entry import Entry
from leangan.leaderboard.line import NESTED, Line, Measurement, Sample
from leangan.leaderboard.standing import RANKINGS
from leangan.results.metric_names import Metric
from leangan.results.table import csv_text

VERSION = 1
"""Rises when a field changes its meaning or goes."""


def lines(entries: list[Entry]) -> list[Line]:
    """One line per entry, in their order. Values are in the unit that their metric's title names."""
    return [
        Line.model_validate(
            {
                "id": entry.id,
                "source": entry.source,
                "credit": entry.credit or None,
                "ranking": entry.standing.ranking,
                "rank": entry.rank,
                "rank_of": entry.rank_of,
                "level": entry.standing.level,
                "shortfalls": list(entry.standing.shortfalls),
                "status": entry.status,
                "reason": entry.reason,
                "doubt": entry.doubt or None,
                "method": entry.method,
                "dataset": entry.dataset,
                "images": entry.images,
                "images_text": entry.images_text,
                "model": entry.model,
                "metric": entry.metric,
                "higher_is_better": entry.higher_is_better,
                "protocol": entry.protocol,
                "value": entry.best,
                "value_text": entry.best_text,
                "value_kimg": entry.best_kimg,
                "final_value": entry.final,
                "kimg": entry.kimg,
                "published_kimg": entry.published_kimg,
                "share_of_published_length": entry.standing.share,
                "scale": entry.scale or None,
                "seed": entry.seed,
                "setting": entry.set_up,
                "command": entry.command or None,
                "facts": dict(entry.facts),
                "measurements": [
                    Measurement(
                        metric=metric.label,
                        name=metric.name,
                        higher_is_better=metric.higher_is_better,
                        value=_number(metric, run.best),
                        final_value=_number(metric, run.final),
                        curve=[[kimg, metric.in_label_unit(value)] for kimg, value in run.curve],
                    )
                    for metric, run in entry.runs.items()
                ],
                "samples": [Sample(caption=grid.caption, file=grid.file) for grid in entry.grids],
            }
        )
        for entry in entries
    ]


def _number(metric: Metric, value: float) -> float | None:
    """A value in the unit that the metric's title names; None for none."""
    return None if isnan(value) else float(metric.in_label_unit(value))


def to_json(entries: list[Entry]) -> str:
    """The document that `Leaderboard` describes, one line of the page a line."""
    rows = ",\n".join(json.dumps(line.model_dump(), allow_nan=False, ensure_ascii=False) for line in lines(entries))
    head = json.dumps({"version": VERSION, "rankings": RANKINGS}, ensure_ascii=False)
    return f'{head[:-1]}, "rows": [\n{rows}\n]}}\n'


def to_csv(entries: list[Entry]) -> str:
    """The lines without what is nested: null is empty, a flag is true or false."""
    columns = [name for name in Line.model_fields if name not in NESTED]
    return csv_text(columns, (line.model_dump(include=set(columns)) for line in lines(entries)))
