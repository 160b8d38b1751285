"""Settings: where the methods of a leaderboard meet, each with its mean over seeds.

Two numbers belong to one setting if they have the same standing, data set, training images, model, protocol, metric
and, unless they are full reproductions, training length; published ones if they stand in one table of one paper.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from metrics.base import OF_TRAINING_IMAGES
from report.entries import Entry
from report.metric_names import Metric
from report.results import mean_and_deviation


@dataclass(frozen=True)
class Score:
    """A method's mean over `n` runs, in the unit that the metric's title names; None: not stated by the paper."""

    mean: float
    deviation: float | None
    n: int | None
    text: str
    final: str = "–"
    doubt: str = ""
    method_name: str = ""


@dataclass
class Setting:
    """One setting under one metric; `scores` maps the titles of methods to their scores. `first` is one entry of it."""

    first: Entry
    metric: str
    higher_is_better: bool
    scores: dict[str, Score] = field(default_factory=dict)

    @property
    def ranking(self) -> str:
        return self.first.standing.ranking

    @property
    def ordered(self) -> list[tuple[str, Score]]:
        """Methods and scores, best first."""
        return sorted(self.scores.items(), key=lambda item: item[1].mean, reverse=self.higher_is_better)

    @property
    def length(self) -> str:
        """The training length where methods of another one are not comparable."""
        return self.first.length if self.ranking != "published" and self.first.standing.level != "full" else ""

    def record(self) -> dict[str, Any]:
        """What the page's script compares two methods by."""
        first = self.first
        place = f"{first.protocol}, {first.length}" if self.length else first.protocol
        return {
            "ranking": self.ranking,
            "dataset": first.dataset,
            "images": first.images_text,
            "model": first.model,
            "metric": self.metric,
            "protocol": place,
            "credit": ", ".join(filter(None, (first.credit, first.setting.get("artefact")))),
            "higher": self.higher_is_better,
            "scores": {
                method: [round(score.mean, 6), score.deviation, score.n, score.text, score.doubt]
                for method, score in self.scores.items()
            },
        }


def settings_of(entries: list[Entry]) -> list[Setting]:
    """All settings, in the order of their first entries; each run counts under every metric it was measured by.

    Signs of copying are no quality that one method has more of than another, and are left out.
    """
    found: dict[tuple, tuple[Setting, dict[str, list[tuple[Metric, Entry]]]]] = {}
    for entry in entries:
        common = entry.peers, entry.model, entry.credit, str(entry.setting.get("conditional"))
        for metric in (each for each in entry.runs if each.family not in OF_TRAINING_IMAGES):
            setting, runs = found.setdefault(
                (*common, metric.name), (Setting(entry, metric.label, metric.higher_is_better), {})
            )
            runs.setdefault(entry.method, []).append((metric, entry))
        if entry.source == "published" and entry.best is not None:
            place = *common, entry.setting["artefact"]
            setting, _ = found.setdefault(place, (Setting(entry, entry.metric, entry.higher_is_better), {}))
            setting.scores[entry.method] = _published(entry)
    for setting, runs in found.values():
        for method, measured in runs.items():
            setting.scores[method] = _mean(measured)
    return [setting for setting, _ in found.values()]


def _mean(measured: list[tuple[Metric, Entry]]) -> Score:
    metric = measured[0][0]
    best, final = ([getattr(entry.runs[metric], kind) for _, entry in measured] for kind in ("best", "final"))
    mean, deviation = mean_and_deviation(best)
    return Score(
        metric.shown(mean),
        None if deviation is None else metric.shown(deviation),
        len(best),
        _text(metric, mean, deviation),
        _text(metric, *mean_and_deviation(final)),
        method_name=measured[0][1].method_name,
    )


def _text(metric: Metric, mean: float, deviation: float | None) -> str:
    return metric.text(mean) + ("" if deviation is None else f" ± {metric.text(deviation)}")


def _published(entry: Entry) -> Score:
    stated = re.match(r"± ([\d.]+)", entry.spread)
    return Score(entry.best, float(stated[1]) if stated else None, None, entry.best_text, doubt=entry.doubt)
