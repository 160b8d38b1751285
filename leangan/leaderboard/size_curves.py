"""Pictures of quality over the size of the training set for the page: one per data set, protocol and metric, measured
means as solid lines and published numbers as dashed ones. What they show, leangan/results/size_lines.py says.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import pandas as pd

from leangan.leaderboard.curve_geometry import Axis
from leangan.leaderboard.settings import Setting
from leangan.leaderboard.standing import RANKINGS
from leangan.results import scores
from leangan.results.published import Match
from leangan.results.scores import Score
from leangan.results.size_lines import Line, families, short, with_room
from leangan.runs.config import artefact, artefact_names, grids

WIDTH, HEIGHT = 560, 340
FRAME = 52, 12, WIDTH - 16, HEIGHT - 44
"""Left, top, right and bottom of the plot."""
COLOURS, MARKERS = 8, ("circle", "square", "triangle", "diamond")
KNOWN = ("baseline", "diffaugment", "da", "ada")
"""Methods with a colour of their own, of the hue they have in the figures (leangan/artefacts/style.py)."""


@dataclass(frozen=True)
class Drawn:
    """A line as it is drawn: `points` are (images, score, x, y); `colour` is an index."""

    method: str
    published: bool
    points: list[tuple[int, Score, float, float]]
    colour: int
    marker: str

    @property
    def path(self) -> str:
        return " ".join(f"{x},{y}" for _, _, x, y in self.points)

    def at(self, images: int) -> Score | None:
        """What the line says for so many images."""
        return next((score for size, score, _, _ in self.points if size == images), None)


@dataclass(frozen=True)
class View:
    """One picture; its ticks are (pixel, text). `id` is the same whenever the page is written anew."""

    id: str
    title: str
    ranking: str
    metric: str
    higher_is_better: bool
    sizes: list[int]
    lines: list[Drawn]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    frame: tuple[int, int, int, int] = FRAME

    @property
    def doubtful(self) -> int:
        """How many of the points are numbers that are not ranked."""
        return sum(bool(score.doubt) for line in self.lines for _, score, _, _ in line.points)

    @property
    def side_by_side(self) -> bool:
        """Whether a method has a number measured here and a published one for the same images."""
        points = {(line.published, line.method, images) for line in self.lines for images, *_ in line.points}
        both = any((not published, *place) in points for published, *place in points)
        return both and self.ranking != "submitted"

    @property
    def count(self) -> int:
        return sum(len(line.points) for line in self.lines)


def views(settings: list[Setting], published: pd.DataFrame | None = None) -> list[View]:
    """The pictures of all settings that differ in nothing but the number of training images and have at least two.

    `published` (of read_published) gives the numbers that the artefacts in config/artefacts set beside measured ones.
    """
    counted = [(each.first.images, each) for each in settings if each.first.images is not None]
    pictures = families(
        counted, lambda member: _shared(member[1]), lambda member: member[0], lambda member: member[1].first.model
    )
    found = []
    for key, members in pictures.items():
        lines = _lines(members)
        if published is not None:
            lines += _beside([setting for _, setting in members], lines, published)
        if len({images for line in lines for images in line.scores}) > 1:
            found.append(_view(key, members[0][1], lines))
    return sorted(found, key=_interest)


def _interest(view: View) -> tuple:
    """The order of the pictures: first those that set measured numbers beside published ones, then by ranking, which
    is measured before published; verified numbers before others, many sizes before few.
    """
    rank = list(RANKINGS).index(view.ranking)
    doubtful = view.doubtful == view.count
    return not view.side_by_side, rank, doubtful, -len(view.sizes), -view.count, view.title


def _shared(setting: Setting) -> tuple:
    """What all points of one picture share."""
    first = setting.first
    group = (*first.group[:2], *first.group[3:]) if first.runs else (first.group[0], *first.group[2:])
    model = first.setting["backbone"] if first.runs else first.model
    place = str(first.setting["conditional"]), first.credit, first.setting.get("artefact", "")
    return setting.ranking, first.standing.level, setting.length, group, model, *place, setting.metric


def _lines(members: list[tuple[int, Setting]]) -> list[Line]:
    """A line per method; `members` are settings with their numbers of training images."""
    lines: dict[str, Line] = {}
    for images, setting in sorted(members, key=lambda member: member[0]):
        for method, score in setting.scores.items():
            line = lines.setdefault(method, Line(method, setting.ranking == "published", {}))
            line.scores[images] = score
    return list(lines.values())


def _title(setting: Setting) -> str:
    first = setting.first
    model = first.setting["backbone"] if first.runs else first.model
    source = "" if first.runs else f"{first.credit}, {first.setting['artefact']}"
    protocol = first.protocol.split(":")[0]
    return ", ".join(filter(None, (first.dataset, setting.metric, source, model, protocol, setting.length)))


def _beside(members: list[Setting], lines: list[Line], published: pd.DataFrame) -> list[Line]:
    """The published lines that artefacts set beside these methods on this data set, protocol, preset and metric."""
    first = members[0].first
    if not first.runs or first.proxy:
        return []
    metric = next(metric for metric in first.runs if metric.label == members[0].metric)
    presets = {setting.first.setting["preset"] for setting in members}
    titles = _titles(lines)
    found: dict[str, dict[int, Score]] = {}
    for content in map(artefact, artefact_names()):
        match = Match.of(content.get("layout", {}))
        same_kind = content.get("conditional", False) == bool(first.setting["conditional"])
        if match is None or content["protocol"] != first.protocol or not same_kind:
            continue
        for grid in grids(content):
            fits = first.setting["dataset"] in grid["dataset"] and first.setting["resolution"] in grid["resolution"]
            if not fits or not presets & set(grid["preset"]):
                continue
            for name, images in itertools.product(titles.keys() & match.methods.keys(), grid["images"]):
                setting = {"dataset": first.setting["dataset"], "images": images}
                score = scores.beside(metric, match.find(published, setting, name, metric, proxy=False))
                if score is not None:
                    found.setdefault(titles[name], {})[images] = score
    return [Line(method, True, dict(sorted(of_method.items()))) for method, of_method in found.items()]


def _titles(lines: list[Line]) -> dict[str, str]:
    """The title of each measured method's line, by its name; with several set-ups, the title that they share."""
    titles: dict[str, str] = {}
    for line in lines:
        score = next(iter(line.scores.values()))
        titles[score.method_name] = score.method_title if score.method_name in titles else line.method
    return titles


def _view(key: tuple, setting: Setting, lines: list[Line]) -> View:
    """The lines with coordinates, ticks, colours and markers; `setting` is one of the picture's."""
    sizes = sorted({images for line in lines for images in line.scores})
    values = [score.mean for line in lines for score in line.scores.values()]
    low, high = min(values), max(values)
    left, top, right, bottom = FRAME
    x_axis = Axis(sizes[0], sizes[-1], left + 12, right - 12, log=True)
    y_axis = Axis(low, high, bottom - 8, top + 8, log=low > 0 and high > 3 * low)
    methods = sorted({line.method for line in lines}, key=_order)
    looks = _looks(methods)
    drawn = [
        Drawn(
            line.method,
            line.published,
            [(images, score, x_axis.at(images), y_axis.at(score.mean)) for images, score in line.scores.items()],
            *looks[line.method],
        )
        for line in sorted(lines, key=lambda line: (methods.index(line.method), line.published))
    ]
    return View(
        hashlib.sha256(repr(key).encode()).hexdigest()[:8],
        _title(setting),
        setting.ranking,
        setting.metric,
        setting.higher_is_better,
        sizes,
        drawn,
        [(x_axis.at(images), short(images)) for images in with_room(sizes)],
        y_axis.ticks(),
    )


def _looks(methods: list[str]) -> dict[str, tuple[int, str]]:
    """Colour and marker of each of the sorted `methods`: its own ones, or the next that are free.

    If a known method has several set-ups, the first one has the method's own look.
    """
    looks: dict[str, tuple[int, str]] = {}
    taken: set[int] = set()
    order, free = 0, COLOURS - len(KNOWN)
    for method in methods:
        place = _known(method)
        if place is not None and place not in taken:
            taken.add(place)
            looks[method] = place, MARKERS[place]
        else:
            looks[method] = len(KNOWN) + order % free, MARKERS[(order + order // free) % len(MARKERS)]
            order += 1
    return looks


def _order(method: str) -> tuple:
    """Methods with a colour of their own first."""
    place = _known(method)
    return len(KNOWN) if place is None else place, method.lower(), method


def _known(method: str) -> int | None:
    words = method.lower().split(" (")[0]
    return KNOWN.index(words) if words in KNOWN else None
