"""Whether the methods of an artefact stand in the order in which the papers put them.

What the papers say is a list of claims, "one method is better than another", each in one column of the artefact's first
metric. They come from

- published numbers beside the column (`published:` of the layout): of each two in one table of one paper, under one
  protocol, that were verified at their source and are further apart than the sum of their published deviations;
- `expectation:` of an artefact for which no number is published, a key of config/artefacts/*.yaml:

      expectation: {better: [diffaugment, ada], worse: [none], source: "arXiv:2006.10738, fig. 1"}

  each of `better` against each of `worse`, in every column.

The measured number is the mean over seeds of each run's best snapshot, chosen by the same metric as in the papers and
printed as "best" in the artefact's table. A claim holds if the means of two or more seeds differ in its direction by
more than the sum of both standard deviations. If they differ so in the other direction, the measurement is against it.
Otherwise it is open, as it is where the metric does not rank one of the methods (leangan/results/judges.py).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.results import scores
from leangan.results.scores import Score, clearly_better

YES, NO, OPEN = "yes", "no", "open"


@dataclass(frozen=True)
class Claim:
    """The papers' word that method `better` beats method `worse` in `column`; `verdict` is YES, NO or OPEN."""

    better: str
    worse: str
    column: Column
    verdict: str


def claims(artefact: Artefact) -> list[Claim]:
    """What the papers say of the methods that the artefact has, column by column.

    Raises ConfigError like `Artefact.published_line`.
    """
    found = []
    for column in artefact.first_columns:
        measured = {
            method: scores.measured_score(column.metric, runs, method, title, artefact.unranked(column, method))
            for method, title in artefact.methods.items()
            if (runs := column.finished_runs(method))
        }
        for better, worse in itertools.chain(_published_pairs(artefact, column), _expected_pairs(artefact, column)):
            verdict = _verdict(measured.get(better), measured.get(worse), column.metric.higher_is_better)
            found.append(Claim(better, worse, column, verdict))
    return found


def _published_pairs(artefact: Artefact, column: Column) -> Iterator[tuple[str, str]]:
    """The pairs (better, worse) that published numbers beside the column make."""
    stated = {}
    for method in artefact.methods:
        line = artefact.published_line(column, method)
        if line is not None and line.verified == "yes":
            stated[method] = (line.paper, line.artefact, line.protocol), scores.paper_score(line, method)
    for (better, (place, one)), (worse, (other_place, other)) in itertools.permutations(stated.items(), 2):
        if place == other_place and clearly_better(one, other, column.metric.higher_is_better):
            yield better, worse


def _expected_pairs(artefact: Artefact, column: Column) -> Iterator[tuple[str, str]]:
    """The pairs (better, worse) of the artefact's expectation, of methods that the column has."""
    if (stated := artefact.expectation) is not None:
        better, worse = (filter(column.runs_of, names) for names in (stated.better, stated.worse))
        yield from itertools.product(better, worse)


def _verdict(better: Score | None, worse: Score | None, higher_is_better: bool) -> str:
    """Of one claim; None: the method has no number."""
    if better is None or worse is None or better.std is None or worse.std is None:
        return OPEN
    if clearly_better(better, worse, higher_is_better):
        return YES
    return NO if clearly_better(worse, better, higher_is_better) else OPEN


def summary(found: Iterable[Claim]) -> str:
    """All claims in a few words: "yes (3 of 3)", "no (1 of 3 against)", "open (1 of 3, none against)"; or "–"."""
    count = Counter(claim.verdict for claim in found)
    total = count.total()
    if not total:
        return "–"
    if count[NO]:
        return f"{NO} ({count[NO]} of {total} against)"
    return f"{YES} ({total} of {total})" if count[YES] == total else f"{OPEN} ({count[YES]} of {total}, none against)"


def sentences(artefact: Artefact) -> list[str]:
    """The artefact's expectation in words, and what was measured of it in each column; nothing without one.

    The verdict on a method is NO if one of its claims is, YES if all are.
    """
    found = claims(artefact) if artefact.expectation else []
    if not found or artefact.expectation is None:
        return []
    titles = [[artefact.methods[name] for name in dict.fromkeys(names)] for names in
              ((claim.better for claim in found), (claim.worse for claim in found))]  # fmt: skip
    verb = "is" if len(titles[0]) == 1 else "are"
    said = [f"{artefact.expectation.source}: {_list(titles[0], 'and')} {verb} better than {_list(titles[1], 'and')}."]
    measured = [f"{column.title}: {_verdicts(artefact, found, column)}" for column in artefact.main_columns]
    if measured:
        unranked = any(artefact.unranked(claim.column, name) for claim in found for name in (claim.better, claim.worse))
        doubts = ["a smaller one", "a single seed", *(["a number that is not ranked"] if unranked else [])]
        said.append(
            f"Measured, {'; '.join(measured)}. Yes and no stand for a difference beyond the sum of both standard "
            f"deviations, open for {_list(doubts, 'or')}."
        )
    return said


def _verdicts(artefact: Artefact, found: list[Claim], column: Column) -> str:
    """The verdict on each method in one column: "DiffAugment yes, ADA open"."""
    of_method: dict[str, set[str]] = {}
    for claim in found:
        if claim.column is column:
            of_method.setdefault(claim.better, set()).add(claim.verdict)
    verdicts = {name: NO if NO in own else OPEN if OPEN in own else YES for name, own in of_method.items()}
    return ", ".join(f"{artefact.methods[name]} {verdict}" for name, verdict in verdicts.items())


def _list(words: list[str], last: str) -> str:
    """A list in words, such as "A", "A and B", "A, B and C" where `last` is "and"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))
