"""The page's pictures of quality over the size of the training set, as numbers for inline SVG.

There is one for each data set, protocol and metric of which two sizes have a number. Means over seeds are solid lines,
published numbers dashed ones; numbers that only a paper has make pictures of their own, one for each of its tables.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from leangan.leaderboard.comparison import Comparison
from leangan.leaderboard.curve_geometry import Axis, room_for
from leangan.leaderboard.standing import RANKINGS
from leangan.results import scores
from leangan.results.method_looks import OWN, MethodLook, choose_looks
from leangan.results.published import PublishedNumber, find_published
from leangan.results.scores import Score
from leangan.results.size_lines import SizeLine, group_by_picture, join_points, short_count, sizes_with_room
from leangan.runs.config import artefact, readable_artefacts

WIDTH, HEIGHT = 560, 350
TOP, RIGHT, BOTTOM = 28, WIDTH - 16, HEIGHT - 44
"""Where the plot ends. Its left side depends on the texts of the y axis, whose title stands above the plot."""

FONT = 17
"""The larger of the fonts that page.css.j2 gives the picture, that of a narrow screen."""


@dataclass(frozen=True)
class PlottedLine:
    """A line in pixels: `points` are (images, score, x, y)."""

    title: str
    published: bool
    points: list[tuple[int, Score, float, float]]
    look: MethodLook

    @property
    def path(self) -> str:
        return " ".join(f"{x},{y}" for _, _, x, y in self.points)

    def at(self, images: int) -> Score | None:
        """What the line says for so many images."""
        return next((score for size, score, _, _ in self.points if size == images), None)


@dataclass(frozen=True)
class SizePicture:
    """One picture; its ticks are (pixel, text). `id` is the same whenever the page is written anew."""

    id: str
    title: str
    ranking: str
    metric: str
    higher_is_better: bool
    sizes: list[int]
    lines: list[PlottedLine]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    frame: tuple[int, int, int, int]
    """Left, top, right and bottom of the plot."""

    width: int = WIDTH
    height: int = HEIGHT

    @property
    def doubtful(self) -> int:
        """How many of the points are numbers that are not ranked."""
        return sum(bool(score.doubt) for line in self.lines for _, score, _, _ in line.points)

    @property
    def side_by_side(self) -> bool:
        """Whether a method has a number measured here and a published one for the same images."""
        points = {(line.published, line.title, images) for line in self.lines for images, *_ in line.points}
        both = any((not published, *place) in points for published, *place in points)
        return both and self.ranking != "submitted"

    @property
    def count(self) -> int:
        return sum(len(line.points) for line in self.lines)


def size_pictures(comparisons: list[Comparison], published: Sequence[PublishedNumber] = ()) -> list[SizePicture]:
    """The pictures of all comparisons that differ in nothing but the number of training images and have at least two.

    `published` (of read_published) gives the numbers that the artefacts in config/artefacts set beside measured ones.
    """
    counted = [(each.first.images, each) for each in comparisons if each.first.images is not None]
    pictures = group_by_picture(
        counted, lambda member: _shared(member[1]), lambda member: member[0], lambda member: member[1].first.model
    )
    found = []
    for key, members in pictures.items():
        lines = _lines(members)
        if published:
            lines += _published_lines([comparison for _, comparison in members], lines, published)
        if len({images for line in lines for images in line.scores}) > 1:
            found.append(_draw(key, members[0][1], lines))
    return sorted(found, key=_interest)


def _interest(picture: SizePicture) -> tuple:
    """The order of the pictures: first those that set measured numbers beside published ones, then by ranking, which
    is measured before published; verified numbers before others, many sizes before few.
    """
    rank = list(RANKINGS).index(picture.ranking)
    doubtful = picture.doubtful == picture.count
    return not picture.side_by_side, rank, doubtful, -len(picture.sizes), -picture.count, picture.title


def _shared(comparison: Comparison) -> tuple:
    """What all points of one picture share."""
    first = comparison.first
    group = (*first.group[:2], *first.group[3:]) if first.runs else (first.group[0], *first.group[2:])
    model = first.setting["backbone"] if first.runs else first.model
    place = str(first.setting["conditional"]), first.credit, first.setting.get("artefact", "")
    return comparison.ranking, first.standing.level, comparison.length, group, model, *place, comparison.metric


def _lines(members: list[tuple[int, Comparison]]) -> list[SizeLine]:
    """A line per method; `members` are comparisons with their numbers of training images."""
    return join_points(
        (title, comparison.ranking == "published", images, score)
        for images, comparison in members
        for title, score in comparison.scores.items()
    )


def _title(comparison: Comparison) -> str:
    first = comparison.first
    model = first.setting["backbone"] if first.runs else first.model
    source = "" if first.runs else f"{first.credit}, {first.setting['artefact']}"
    protocol = first.protocol.split(":")[0]
    return ", ".join(filter(None, (first.dataset, comparison.metric, source, model, protocol, comparison.length)))


def _published_lines(
    members: list[Comparison], lines: list[SizeLine], published: Sequence[PublishedNumber]
) -> list[SizeLine]:
    """The published lines that artefacts set beside these methods on this data set, protocol, preset and metric."""
    first = members[0].first
    if not first.runs or first.proxy:
        return []
    metric = next(metric for metric in first.runs if metric.label == members[0].metric)
    presets = {comparison.first.setting["preset"] for comparison in members}
    titles = _titles(lines)
    points = []
    for content in map(artefact, readable_artefacts()):
        part = content.layout.published
        same_kind = content.conditional == bool(first.setting["conditional"])
        if part is None or content.protocol != first.protocol or not same_kind:
            continue
        for grid in content.grid:
            fits = first.setting["dataset"] in grid.dataset and first.setting["resolution"] in grid.resolution
            if not fits or not presets & set(grid.preset):
                continue
            for name, images in itertools.product(titles.keys() & part.methods.keys(), grid.images):
                setting = {"dataset": first.setting["dataset"], "images": images}
                line = find_published(part, published, setting, name, metric, proxy=False)
                if (score := scores.published_score(line, name)) is not None:
                    points.append((titles[name], True, images, score))
    return join_points(points)


def _titles(lines: list[SizeLine]) -> dict[str, str]:
    """The title of each measured method's line, by its name; with several set-ups, the title that they share."""
    titles: dict[str, str] = {}
    for line in lines:
        score = next(iter(line.scores.values()))
        titles[line.name] = score.method_title if line.name in titles else line.title
    return titles


def _draw(key: tuple, comparison: Comparison, lines: list[SizeLine]) -> SizePicture:
    """The lines with coordinates, ticks and looks; `comparison` is one of the picture's."""
    sizes = sorted({images for line in lines for images in line.scores})
    values = [score.mean for line in lines for score in line.scores.values()]
    low, high = min(values), max(values)
    y_axis = Axis(low, high, BOTTOM - 8, TOP + 8, log=low > 0 and high > 3 * low)
    left = room_for(y_axis.ticks(), FONT)
    x_axis = Axis(sizes[0], sizes[-1], left + 12, RIGHT - 12, log=True)
    lines = sorted(lines, key=_order)
    looks = _looks(lines)
    return SizePicture(
        id=hashlib.sha256(repr(key).encode()).hexdigest()[:8],
        title=_title(comparison),
        ranking=comparison.ranking,
        metric=comparison.metric,
        higher_is_better=comparison.higher_is_better,
        sizes=sizes,
        lines=[
            PlottedLine(
                line.title,
                line.published,
                [
                    (images, score, x_axis.pixel_at(images), y_axis.pixel_at(score.mean))
                    for images, score in line.scores.items()
                ],
                looks[line.title],
            )
            for line in lines
        ],
        x_ticks=[(x_axis.pixel_at(images), short_count(images)) for images in sizes_with_room(sizes)],
        y_ticks=y_axis.ticks(),
        frame=(left, TOP, RIGHT, BOTTOM),
    )


def _order(line: SizeLine) -> tuple:
    """Methods with looks of their own first, of each method the measured line first."""
    place = list(OWN).index(line.name) if line.name in OWN else len(OWN)
    return place, line.title.lower(), line.title, line.published


def _looks(lines: list[SizeLine]) -> dict[str, MethodLook]:
    """The look of each title: its method's. Of several set-ups of a method, the first has it, the others free ones."""
    known: dict[str, str] = {}
    for line in lines:
        if line.title not in known:
            known[line.title] = line.title if not line.name or line.name in known.values() else line.name
    looks = choose_looks(known.values())
    return {title: looks[name] for title, name in known.items()}
