"""Comparisons: where the methods of a leaderboard meet, each with its mean over seeds.

Two numbers belong to one comparison if they have the same standing, data set, training images, model, protocol, metric
and, unless they are full reproductions, training length; published ones if they stand in one table of one paper. The
runs of one title in a comparison differ in the seed alone, because `leaderboard.set_ups` gives other runs other
titles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import Any

from leangan.leaderboard.entry import Entry
from leangan.metrics.families import is_sign_of_copying
from leangan.results import scores
from leangan.results.judges import why_unranked
from leangan.results.scores import Score, clearly_better


@dataclass
class Comparison:
    """Methods in one setting under one metric: `scores` by their titles. `first` is one of the entries."""

    first: Entry
    metric: str
    higher_is_better: bool
    scores: dict[str, Score] = field(default_factory=dict)

    @property
    def ranking(self) -> str:
        return self.first.standing.ranking

    @property
    def best_first(self) -> list[tuple[str, Score]]:
        """Methods and scores by their mean; those that are not ranked come last."""
        sign = -1 if self.higher_is_better else 1
        return sorted(self.scores.items(), key=lambda item: (not item[1].ranked, sign * item[1].mean))

    @property
    def winner(self) -> Score | None:
        """The score that stands out from all others, if one does."""
        return scores.winner(self.scores.values(), self.higher_is_better)

    @property
    def length(self) -> str:
        """The training length where methods of another one are not comparable."""
        return self.first.length if self.ranking != "published" and self.first.standing.level != "full" else ""

    def record(self) -> dict[str, Any]:
        """What the page's script compares two methods by: scores, and which methods each is clearly better than."""
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
            "ahead": {
                method: [other for other, b in self.scores.items() if clearly_better(a, b, self.higher_is_better)]
                for method, a in self.scores.items()
            },
            "scores": {
                method: [round(score.mean, 6), score.n, score.text, score.doubt, score.ranked]
                for method, score in self.scores.items()
            },
        }


def comparisons_of(entries: list[Entry]) -> list[Comparison]:
    """All comparisons, in the order of their first entries; each run counts under every metric it was measured by.

    Signs of copying are no quality that one method has more of than another, and are left out.
    """
    found: dict[tuple, tuple[Comparison, dict[str, list[Entry]]]] = {}
    for entry in entries:
        common = entry.peers, entry.model, entry.credit, str(entry.setting.get("conditional"))
        for metric, run in entry.runs.items():
            if is_sign_of_copying(metric.family) or isnan(run.best):
                continue
            _, measured = found.setdefault(
                (*common, metric), (Comparison(entry, metric.label, metric.higher_is_better), {})
            )
            measured.setdefault(entry.method, []).append(entry)
        if entry.paper is not None:
            place = *common, entry.setting["artefact"]
            comparison, _ = found.setdefault(place, (Comparison(entry, entry.metric, entry.higher_is_better), {}))
            comparison.scores[entry.method] = scores.paper_score(entry.paper, entry.method_name)
    for (*_, metric), (comparison, measured) in found.items():
        for method, of_seeds in measured.items():
            runs = [entry.runs[metric] for entry in of_seeds]
            unranked = why_unranked((name for entry in of_seeds for name in entry.plugins), metric.extractor)
            comparison.scores[method] = scores.measured_score(
                metric, runs, of_seeds[0].method_name, of_seeds[0].method_title, unranked
            )
    return [comparison for comparison, _ in found.values()]
