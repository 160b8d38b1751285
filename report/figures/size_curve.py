"""Best distance over the size of the training set, the published numbers beside (arXiv:2006.06676, fig. 7a, b)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from report import style
from report.artefact import Artefact, Column
from report.panels import distance_axis, legend
from report.published import UNVERIFIED

WITHOUT_RUNS = True
HOLLOW = {"markerfacecolor": "white", "zorder": 3}
DASHES = (0, (2, 1.5))


def draw(artefact: Artefact, rows: Path) -> Figure:
    """A panel per data set, a line per method: the mean over seeds of each run's best snapshot, their range shaded.

    Published numbers are hollow on dashed lines, diamonds where not verified at their source. No run need have
    finished.
    """
    panels = _panels(artefact)
    points = {
        (panel, method): _points(artefact, columns, method)
        for panel, columns in panels.items()
        for method in artefact.methods
    }
    shown = [method for method in artefact.methods if any(any(points[panel, method]) for panel in panels)]
    if not shown:
        return style.message("No run of this artefact has finished, and it has no published numbers.")
    looks = style.method_styles(artefact.all_methods, shown)
    figure, axes = style.wrapped(len(panels), 2.8, sharey=True)
    for ax, (panel, columns) in zip(axes, panels.items(), strict=True):
        for method in shown:
            _draw(ax, looks[method], artefact.methods[method], *points[panel, method])
        ax.set_title(_title(list(panels), panel))
        _size_axis(ax, [column.setting["images"] for column in columns])
        if ax.get_subplotspec().is_first_col():
            distance_axis(ax, columns[0])
    of_papers = [line for _, reported in points.values() for line in reported.values()]
    for label, marker, any_such in (
        ("published", "o", any(not doubtful for _, doubtful in of_papers)),
        (f"published, {UNVERIFIED}", "D", any(doubtful for _, doubtful in of_papers)),
    ):
        if any_such:
            axes[0].plot([], [], marker, color=style.GREY, linestyle=DASHES, label=label, **HOLLOW)
    legend(figure, 3 if len(axes) == 1 else 6)
    return figure


def _panels(artefact: Artefact) -> dict[tuple, list[Column]]:
    """The columns of the first metric that differ in the number of images, and in the preset unless two presets meet
    at one number.
    """
    main = [column for column in artefact.columns if column.metric == artefact.columns[0].metric]
    for left_out in ({"images", "preset"}, {"images"}):
        panels: dict[tuple, list[Column]] = {}
        for column in main:
            key = tuple(value for name, value in column.setting.items() if name not in left_out)
            panels.setdefault(key, []).append(column)
        if all(len({c.setting["images"] for c in columns}) == len(columns) for columns in panels.values()):
            break
    return panels


def _points(
    artefact: Artefact, columns: list[Column], method: str
) -> tuple[dict[int, list[float]], dict[int, tuple[float, bool]]]:
    """By size: the best value of each seed; the published number and whether it is doubtful."""
    measured, reported = {}, {}
    for column in columns:
        images = column.setting["images"]
        if runs := column.done(method):
            measured[images] = [column.metric.shown(run.best) for run in runs]
        if (line := artefact.beside(column, method)) is not None:
            reported[images] = column.metric.shown(line["number"]), line["verified"] != "yes"
    return dict(sorted(measured.items())), dict(sorted(reported.items()))


def _draw(
    ax: Axes,
    look: style.Look,
    title: str,
    measured: dict[int, list[float]],
    reported: dict[int, tuple[float, bool]],
) -> None:
    """Both lines of a method in one colour; the label is on the one that there is."""
    color = look.color
    style.seeds(ax, measured, look, title)
    if reported:
        sizes, values = list(reported), [value for value, _ in reported.values()]
        ax.plot(sizes, values, color=color, linestyle=DASHES, linewidth=0.8, label=None if measured else title)
        for marker, wanted in (("o", False), ("D", True)):
            at = [i for i, (_, doubtful) in enumerate(reported.values()) if doubtful == wanted]
            ax.plot(np.take(sizes, at), np.take(values, at), marker, color=color, markersize=3.5, **HOLLOW)


def _title(panels: list[tuple], panel: tuple) -> str:
    """The data set, and what else tells the panels apart."""
    varying = [len({other[i] for other in panels}) > 1 for i in range(len(panel))]
    return ", ".join(str(value) for i, value in enumerate(panel) if i == 0 or varying[i] and i > 0)


def _size_axis(ax: Axes, sizes: list[int]) -> None:
    """Logarithmic, a tick for each size that has room."""
    ax.set_xscale("log")
    ticks, span = [], max(sizes) / min(sizes)
    for size in sorted(set(sizes)):
        if not ticks or size / ticks[-1] > span**0.09:  # labels nearer than that would overlap
            ticks.append(size)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: _short(n)))
    ax.set_xlabel("training images")


def _short(images: float) -> str:
    """As on an axis: 500, 5k, 1.28M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if images >= unit:
            return f"{images / unit:.3g}{name}"
    return f"{images:g}"
