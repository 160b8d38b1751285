"""A line of the leaderboard, its rank among its peers, and the order of all lines.

Only entries of one group (same data set, training images, protocol and metric) and one standing are ranked together;
the protocol includes extractor, digest, input size and number of generated images.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from leangan.leaderboard.standing import RANKINGS, Standing, percent
from leangan.results.measured_runs import Run
from leangan.results.metric_names import Metric
from leangan.results.origin import Origin
from leangan.results.published import PublishedNumber
from leangan.results.sample_grids import Grid


@dataclass(frozen=True)
class Entry:
    """One line. `best` and `final` are in the unit that `metric` names (None: no value), their texts are printed.

    `id` is the same whenever the page is written anew. `credit` says whose number it is: the paper or the submitter.
    `runs` holds what was measured per metric, the judging one first. `method_name` is the plugin or composition,
    empty if a paper's method has no name here, `method_title` its title before `leaderboard.set_ups` adds what
    differs, which gives `method`. `plugins` are those of the run and of its parents. `run` is the run's id, `scale`
    that of a run measured here, or empty. `set_up` is the run's setting, the digest of everything it was trained with
    except its seed; None: not stated. `origin` is that of `results.origin`. `paper` is the published number that the
    line shows, if it shows one. `doubt` says why a number is not ranked.
    """

    id: str
    source: str
    standing: Standing
    method: str
    dataset: str
    images: int | None
    model: str
    metric: str
    protocol: str
    group: tuple
    higher_is_better: bool
    images_text: str = ""
    method_name: str = ""
    method_title: str = ""
    plugins: tuple[str, ...] = ()
    run: str = ""
    scale: str = ""
    set_up: str | None = None
    origin: Origin = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)
    status: str = "done"
    reason: str | None = None
    doubt: str = ""
    credit: str = ""
    best: float | None = None
    best_text: str = "–"
    best_kimg: float | None = None
    final: float | None = None
    final_text: str = "–"
    kimg: float | None = None
    planned_kimg: float | None = None
    published_kimg: float | None = None
    seed: int | None = None
    rank: int | None = None
    rank_of: int | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    command: str = ""
    runs: dict[Metric, Run] = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)
    paper: PublishedNumber | None = None

    @property
    def proxy(self) -> bool:
        return self.standing.level == "proxy"

    @property
    def length(self) -> str:
        return "–" if self.kimg is None else f"{self.kimg:,.9g} kimg"

    @property
    def length_note(self) -> str:
        """How far the training length is from the published one."""
        if self.source == "published":
            return "as published"
        if self.standing.share is None:
            return "none published"
        return f"{percent(self.standing.share)} of the published {self.published_kimg:,.9g}"

    @property
    def peers(self) -> tuple:
        """What entries must share to be ranked together; runs that are no full reproduction their length, too."""
        length = None if self.standing.level == "full" else self.planned_kimg
        return self.standing.ranking, self.standing.level, length, self.group

    def sort_keys(self) -> dict[str, Any]:
        """What the page's script sorts and filters by."""
        names = "rank method dataset images model metric best final kimg seed source protocol".split()
        return {"id": self.id, **{name: getattr(self, name) for name in names}}


def short_id(*parts: str) -> str:
    """A short name for a line, the same whenever the page is written: links to it stay valid."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def sort_entries(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with their ranks, in the page's order: by ranking, data set, images and group, best first."""
    return sorted(rank(entries), key=_board_order)


def rank(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, each with its rank among its `rank_of` peers, 1 being best; equal values share a rank."""
    entries = list(entries)
    values: dict[tuple, list[float]] = {}
    for entry in entries:
        if entry.standing.ranked and entry.best is not None:
            values.setdefault(entry.peers, []).append(entry.best)
    return [_ranked(entry, values.get(entry.peers, [])) for entry in entries]


def _ranked(entry: Entry, values: list[float]) -> Entry:
    """The entry with its rank among the values of its peers, if it is ranked."""
    if not entry.standing.ranked or entry.best is None:
        return entry
    best = entry.best
    better = sum(value > best if entry.higher_is_better else value < best for value in values)
    return replace(entry, rank=1 + better, rank_of=len(values))


def _board_order(entry: Entry) -> tuple:
    rank = math.inf if entry.rank is None else entry.rank
    value = math.inf if entry.best is None else -entry.best if entry.higher_is_better else entry.best
    place = entry.dataset.lower(), entry.images or math.inf, entry.status != "done", entry.group
    return list(RANKINGS).index(entry.standing.ranking), *place, rank, value, entry.seed or 0, entry.id
