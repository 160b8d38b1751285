"""Quality over the size of the training set, the view of ADA's fig. 7 (arXiv:2006.06676): one picture per data set,
protocol and metric, measured means as solid lines and published numbers as dashed ones.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from report.curve_geometry import Axis
from report.metric_names import Metric
from report.published import UNVERIFIED, Match
from report.settings import Score, Setting
from report.standing import RANKINGS
from suite.config import artefact, artefact_names
from suite.spec import grids

WIDTH, HEIGHT = 560, 340
FRAME = 52, 12, WIDTH - 16, HEIGHT - 44
"""Left, top, right and bottom of the plot."""
COLOURS, MARKERS = 8, ("circle", "square", "triangle", "diamond")
KNOWN = ("baseline", "diffaugment", "da", "ada")
"""Methods with a colour of their own, of the hue they have in the figures (report/style.py)."""


@dataclass(frozen=True)
class Point:
    """A method's score with so many training images, drawn at (x, y)."""

    images: int
    score: Score
    x: float = 0.0
    y: float = 0.0


@dataclass
class Line:
    """The points of one method, by number of images. `colour` and `marker` are indices."""

    method: str
    published: bool
    points: list[Point]
    colour: int = 0
    marker: str = MARKERS[0]

    @property
    def path(self) -> str:
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass
class View:
    """One picture; its ticks are (pixel, text). `id` is the same whenever the page is written anew."""

    id: str
    title: str
    ranking: str
    metric: str
    higher_is_better: bool
    lines: list[Line]
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    frame: tuple[int, int, int, int] = FRAME

    @property
    def sizes(self) -> list[int]:
        return sorted({point.images for line in self.lines for point in line.points})

    def at(self, line: Line, images: int) -> Score | None:
        """What a line says for so many images."""
        return next((point.score for point in line.points if point.images == images), None)

    @property
    def doubtful(self) -> int:
        """How many of the points are numbers that are not ranked."""
        return sum(bool(point.score.doubt) for line in self.lines for point in line.points)

    @property
    def count(self) -> int:
        return sum(len(line.points) for line in self.lines)


def views(settings: list[Setting], published: pd.DataFrame | None = None) -> list[View]:
    """The pictures of all settings that differ in nothing but the number of training images and have at least two.

    `published` (of read_published) gives the numbers that the artefacts in config/artefacts set beside measured ones.
    """
    families: dict[tuple, list[Setting]] = {}
    for setting in settings:
        if setting.first.images is not None:
            families.setdefault(_family(setting), []).append(setting)
    found = []
    for key, members in _without_repeats(families):
        lines: dict[str, Line] = {}
        for setting in sorted(members, key=lambda member: member.first.images):
            for method, score in setting.scores.items():
                line = lines.setdefault(method, Line(method, setting.ranking == "published", []))
                line.points.append(Point(setting.first.images, score))
        first = members[0]
        drawn = [*lines.values(), *(_beside(members, lines, published) if published is not None else [])]
        identity = hashlib.sha256(repr(key).encode()).hexdigest()[:8]
        view = View(identity, _title(first), first.ranking, first.metric, first.higher_is_better, drawn)
        if len(view.sizes) > 1:
            found.append(_drawn(view))
    return sorted(found, key=_interest)


def _interest(view: View) -> tuple:
    """The order of the pictures: reproductions first, verified numbers before others, many sizes before few."""
    return list(RANKINGS).index(view.ranking), view.doubtful == view.count, -len(view.sizes), -view.count, view.title


def _without_repeats(families: dict[tuple, list[Setting]]) -> Iterator[tuple[tuple, list[Setting]]]:
    """The families; one in which presets meet at the same number of images is one family per preset."""
    for key, members in families.items():
        models: dict[str, list[Setting]] = {"": members}
        if len({member.first.images for member in members}) < len(members):
            models = {}
            for member in members:
                models.setdefault(member.first.model, []).append(member)
        yield from (((*key, model), of_model) for model, of_model in models.items())


def _family(setting: Setting) -> tuple:
    """What all points of one picture share. Presets of measured runs change with the number of images."""
    first = setting.first
    group = (*first.group[:2], *first.group[3:]) if first.runs else (first.group[0], *first.group[2:])
    model = first.setting["backbone"] if first.runs else first.model
    place = str(first.setting["conditional"]), first.credit, first.setting.get("artefact", "")
    return setting.ranking, first.standing.level, setting.length, group, model, *place, setting.metric


def _title(setting: Setting) -> str:
    first = setting.first
    model = first.setting["backbone"] if first.runs else first.model
    source = "" if first.runs else f"{first.credit}, {first.setting['artefact']}"
    protocol = first.protocol.split(":")[0]
    return ", ".join(filter(None, (first.dataset, setting.metric, source, model, protocol, setting.length)))


def _beside(members: list[Setting], lines: dict[str, Line], published: pd.DataFrame) -> list[Line]:
    """The published lines that artefacts set beside these methods on this data set, protocol, preset and metric."""
    first = members[0].first
    if not first.runs or first.proxy:
        return []
    metric = next(metric for metric in first.runs if metric.label == members[0].metric)
    presets = {setting.first.setting["preset"] for setting in members}
    titles = {score.method_name: line.method for line in lines.values() for score in (line.points[0].score,)}
    found: dict[str, dict[int, Point]] = {}
    for content in map(artefact, artefact_names()):
        stated = content.get("layout", {}).get("published")
        same_kind = content.get("conditional", False) == bool(first.setting["conditional"])
        if not stated or content["protocol"] != first.protocol or not same_kind:
            continue
        match = Match(stated.get("where", {}), stated["methods"], stated.get("datasets", {}))
        for grid in grids(content):
            fits = first.setting["dataset"] in grid["dataset"] and first.setting["resolution"] in grid["resolution"]
            if not fits or not presets & set(grid["preset"]):
                continue
            for name, images in itertools.product(titles.keys() & match.methods.keys(), grid["images"]):
                point = _published_point(match, published, first.setting["dataset"], images, name, metric)
                if point is not None:
                    found.setdefault(titles[name], {})[images] = point
    return [Line(method, True, [points[n] for n in sorted(points)]) for method, points in found.items()]


def _published_point(
    match: Match, published: pd.DataFrame, dataset: str, images: int, method: str, metric: Metric
) -> Point | None:
    line = match.find(published, {"dataset": dataset, "images": images}, method, metric, proxy=False)
    if line is None or pd.isna(line["number"]):
        return None
    doubt = "" if line["verified"] == "yes" else UNVERIFIED
    return Point(images, Score(metric.shown(line["number"]), None, None, line["value"], doubt=doubt))


def _drawn(view: View) -> View:
    """The view with coordinates, ticks, colours and markers."""
    values = [point.score.mean for line in view.lines for point in line.points]
    low, high = min(values), max(values)
    sizes = view.sizes
    left, top, right, bottom = FRAME
    x_axis = Axis(sizes[0], sizes[-1], left + 12, right - 12, log=True)
    y_axis = Axis(low, high, bottom - 8, top + 8, log=low > 0 and high > 3 * low)
    for images in sizes:
        if not view.x_ticks or x_axis.at(images) - view.x_ticks[-1][0] >= 30:
            view.x_ticks.append((x_axis.at(images), short(images)))
    view.y_ticks = y_axis.ticks()
    methods = sorted({line.method for line in view.lines}, key=_order)
    others = [method for method in methods if _known(method) is None]
    for line in view.lines:
        place = _known(line.method)
        order = others.index(line.method) if place is None else 0
        line.colour = len(KNOWN) + order % (COLOURS - len(KNOWN)) if place is None else place
        line.marker = MARKERS[order // (COLOURS - len(KNOWN)) % len(MARKERS)]
        line.points = [
            Point(point.images, point.score, x_axis.at(point.images), y_axis.at(point.score.mean))
            for point in line.points
        ]
    view.lines.sort(key=lambda line: (methods.index(line.method), line.published))
    return view


def _order(method: str) -> tuple:
    """Methods with a colour of their own first."""
    place = _known(method)
    return len(KNOWN) if place is None else place, method.lower()


def _known(method: str) -> int | None:
    words = method.lower().split(" (")[0]
    return KNOWN.index(words) if words in KNOWN else None


def short(images: int) -> str:
    """A number of images as on an axis: 5k."""
    return f"{images / 1000:g}k" if images >= 1000 else str(images)
