"""Best distance over the size of the training set, the published numbers beside (arXiv:2006.06676, fig. 7a, b).

A panel has one data set, resolution and backbone, conditional or not; where a size was trained with several presets,
each preset has its own panel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.artefacts.panels import distance_axis, legend, marked
from leangan.results import scores
from leangan.results.published import UNVERIFIED
from leangan.results.size_lines import SizeLine, group_by_picture, join_points, short_count, sizes_with_room

WITHOUT_RUNS = True
HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "zorder": 3}
DASHES = (0, (2, 1.5))
MARKERS = {False: "o", True: "D"}
"""Of published numbers, by whether they are doubtful."""


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """A panel per data set, a line per method: the mean over seeds of each run's best snapshot, their range shaded.

    Published numbers are hollow on dashed lines, diamonds where not verified at their source. No run need have
    finished.
    """
    main = [column for column in artefact.columns if column.metric == artefact.columns[0].metric]
    panels = group_by_picture(
        main, _shared, lambda column: column.setting["images"], lambda column: column.setting["preset"]
    )
    lines = {panel: _lines(artefact, columns) for panel, columns in panels.items()}
    drawn = [line for of_panel in lines.values() for line in of_panel]
    unranked = {line.name for line in drawn if not all(score.ranked for score in line.scores.values())}
    shown = [method for method in artefact.methods if method in {line.name for line in drawn}]
    if not shown:
        return style.message("No run of this artefact has finished, and it has no published numbers.")
    looks = style.method_looks(shown)
    figure, axes = style.wrap_panels(len(panels), 2.8, sharey=True)
    for ax, (panel, columns) in zip(axes, panels.items(), strict=True):
        labelled = set()
        for line in lines[panel]:
            label = None if line.name in labelled else marked(line.title, line.name in unranked)
            _draw(ax, line, looks[line.name], label)
            labelled.add(line.name)
        style.title(ax, _title(list(panels), panel))
        _size_axis(ax, [column.setting["images"] for column in columns])
        if style.is_leftmost(ax):
            distance_axis(ax, columns[0])
    of_papers = [score for line in drawn if line.published for score in line.scores.values()]
    for doubtful, label in ((False, "published"), (True, f"published, {UNVERIFIED}")):
        if any(bool(score.doubt) == doubtful for score in of_papers):
            axes[-1].plot([], [], MARKERS[doubtful], color=style.GREY, linestyle=DASHES, label=label, **HOLLOW)
    legend(figure, 3 if len(axes) == 1 else 6)
    return figure


def _shared(column: Column) -> tuple:
    """What the columns of a panel share."""
    return tuple(column.setting[key] for key in ("dataset", "resolution", "backbone", "conditional"))


def _lines(artefact: Artefact, columns: list[Column]) -> list[SizeLine]:
    """The lines of a panel, of each method the measured one and then the published one."""
    points = []
    for method, title in artefact.methods.items():
        for column in columns:
            if runs := column.finished_runs(method):
                score = scores.measured_score(column.metric, runs, method, title, artefact.unranked(column, method))
                points.append((title, False, column.setting["images"], score))
        for column in columns:
            reported = scores.published_score(artefact.published_line(column, method), method)
            if reported is not None:
                points.append((title, True, column.setting["images"], reported))
    return join_points(points)


def _draw(ax: Axes, line: SizeLine, look: style.Look, label: str | None) -> None:
    """Both lines of a method have one colour."""
    if not line.published:
        style.seeds(ax, {images: score.values for images, score in line.scores.items()}, look, label)
        return
    means = {images: score.mean for images, score in line.scores.items()}
    ax.plot(list(means), list(means.values()), color=look.color, linestyle=DASHES, linewidth=0.8, label=label)
    for doubtful, marker in MARKERS.items():
        at = [images for images, score in line.scores.items() if bool(score.doubt) == doubtful]
        ax.plot(at, [means[images] for images in at], marker, color=look.color, markersize=3.5, **HOLLOW)


def _title(panels: list[tuple], panel: tuple) -> str:
    """The data set, and what else tells the panels apart."""
    varying = [len({other[i] for other in panels}) > 1 for i in range(len(panel))]
    return ", ".join(str(value) for i, value in enumerate(panel) if value != "" and (i == 0 or varying[i]))


def _size_axis(ax: Axes, sizes: list[int]) -> None:
    """Logarithmic, a tick for each size that has room."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sizes_with_room(sizes)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda images, _: short_count(images)))
    ax.set_xlabel("training images")
