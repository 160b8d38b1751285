"""The leaderboard as data: leaderboard.json, which workflow/schemas/leaderboard.schema.yaml describes, and a CSV.

Both hold one record per line of the page; the CSV leaves out what is nested.
"""

from __future__ import annotations

import json
from typing import Any

from leangan.leaderboard.entry import Entry
from leangan.leaderboard.standing import RANKINGS
from leangan.results.table import csv_text

VERSION = 1
"""Rises when a field changes its meaning or goes."""

NESTED = ("shortfalls", "facts", "measurements", "samples")


def records(entries: list[Entry]) -> list[dict[str, Any]]:
    """One record per entry, in their order. Values are in the unit that their metric's title names."""
    return [
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
            "seed": entry.seed,
            "setting": entry.set_up,
            "command": entry.command or None,
            "facts": dict(entry.facts),
            "measurements": [
                {
                    "metric": metric.label,
                    "name": metric.name,
                    "higher_is_better": metric.higher_is_better,
                    "value": float(metric.in_label_unit(run.best)),
                    "final_value": float(metric.in_label_unit(run.final)),
                    "curve": [[kimg, metric.in_label_unit(value)] for kimg, value in run.curve],
                }
                for metric, run in entry.runs.items()
            ],
            "samples": [{"caption": grid.caption, "file": grid.file} for grid in entry.grids],
        }
        for entry in entries
    ]


def to_json(entries: list[Entry]) -> str:
    """The document of workflow/schemas/leaderboard.schema.yaml, one record a line."""
    lines = ",\n".join(json.dumps(record, allow_nan=False, ensure_ascii=False) for record in records(entries))
    head = json.dumps({"version": VERSION, "rankings": RANKINGS}, ensure_ascii=False)
    return f'{head[:-1]}, "rows": [\n{lines}\n]}}\n'


def to_csv(entries: list[Entry]) -> str:
    """The records without what is nested: null is empty, a flag is true or false."""
    flat = [{key: value for key, value in each.items() if key not in NESTED} for each in records(entries)]
    return csv_text(list(flat[0]) if flat else ["id"], flat)
