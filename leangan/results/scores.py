"""What a method amounts to in one setting: the mean over its runs, or one published number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from leangan.results.measured_runs import Run, mean_and_std, seeds_of
from leangan.results.metric_names import Metric
from leangan.results.published import UNVERIFIED, PublishedNumber


@dataclass(frozen=True)
class Score:
    """A method's mean over `n` seeds, in the unit that the metric's title names; None: not stated by the paper.

    `values` are those of the single runs, `text` and `final` what is printed of the best and the last snapshots.
    `doubt` says why a published number is not reliable, or why a measured one does not rank its method; the latter is
    not `ranked`. `method_name` is empty if a paper's method has no name here, `method_title` the method's title without
    what tells its set-ups apart.
    """

    mean: float
    std: float | None
    n: int | None
    text: str
    final: str = "–"
    doubt: str = ""
    method_name: str = ""
    method_title: str = ""
    values: tuple[float, ...] = ()
    ranked: bool = True


def measured_score(metric: Metric, runs: list[Run], method_name: str, method_title: str, unranked: str = "") -> Score:
    """The score of runs that differ in the seed and have numbers: of their best snapshots, of one at least.

    `unranked` says why they are not ranked (of `results.judges`).
    """
    judged = [run for run in runs if not math.isnan(run.best)]
    best, final = [run.best for run in judged], [run.final for run in runs if not math.isnan(run.final)]
    (mean, std), (final_mean, final_std) = mean_and_std(best), mean_and_std(final)
    return Score(
        metric.in_label_unit(mean),
        None if std is None else metric.in_label_unit(std),
        seeds_of(judged),
        metric.text(mean, std),
        final=metric.text(final_mean, final_std),
        method_name=method_name,
        method_title=method_title,
        values=tuple(map(metric.in_label_unit, best)),
        doubt=unranked,
        ranked=not unranked,
    )


def paper_score(line: PublishedNumber, method_name: str) -> Score:
    """The score that a published number is. Its deviation counts; `text` and `doubt` are what the page prints."""
    std = None if line.std is None else float(line.std)
    return Score(float(line.value), std, None, line.text, doubt=line.doubt, method_name=method_name)


def clearly_better(one: Score, other: Score, higher_is_better: bool) -> bool:
    """Whether `one` is better by more than the sum of both deviations; one that is not known counts as none.

    What is not ranked is neither better nor worse.
    """
    if not (one.ranked and other.ranked):
        return False
    ahead = one.mean - other.mean if higher_is_better else other.mean - one.mean
    return ahead > (one.std or 0) + (other.std or 0)


def winner(found: Iterable[Score], higher_is_better: bool) -> Score | None:
    """The score that is clearly better than all others that are ranked; None where they overlap, have no deviation, or
    it is alone.
    """
    ranked = [score for score in found if score.ranked]
    scores = sorted(ranked, key=lambda score: score.mean, reverse=higher_is_better)
    if len(scores) < 2 or any(score.std is None for score in scores):
        return None
    best, *others = scores
    return best if all(clearly_better(best, other, higher_is_better) for other in others) else None


def published_score(line: PublishedNumber | None, method_name: str) -> Score | None:
    """The score that a table or figure compares with measured ones: no deviation, doubtful only if not verified."""
    if line is None:
        return None
    doubt = "" if line.verified == "yes" else UNVERIFIED
    return Score(float(line.value), None, None, line.value, doubt=doubt, method_name=method_name)
