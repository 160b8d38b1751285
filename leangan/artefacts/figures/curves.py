"""Distance over images shown to D: a line per method, or per training-set size (arXiv:2006.06676, fig. 1a)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.panels import KIMG, MethodLine, distance_axis, kimg_axis, legend, marked, panels
from leangan.results.measured_runs import mean_curve


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """The panels of leangan/artefacts/panels.py, from the values of the artefact alone."""
    drawn = panels(artefact)
    figure, axes = style.wrap_panels(len(drawn), 2.5 if len(drawn) <= 4 else 1.9, sharey=True)
    for ax, (title, lines) in zip(axes, drawn, strict=True):
        for line in lines:
            _line(ax, line)
        style.title(ax, title)
        kimg_axis(ax)
        ax.set_xlabel(KIMG)
    column = artefact.main_columns[0]
    for ax in axes:
        if style.is_leftmost(ax):
            distance_axis(ax, column)
    if not all(line.unranked for _, lines in drawn for line in lines):
        best = "highest" if column.metric.higher_is_better else "lowest"
        axes[-1].plot([], [], "o", color=style.GREY, markerfacecolor="white", label=f"{best} mean")
    legend(figure, 3 if len(axes) == 1 else 7)
    return figure


def _line(ax: Axes, line: MethodLine) -> None:
    """Mean over seeds, their range shaded; the best snapshot of the mean is marked where the numbers are ranked."""
    curve = mean_curve(line.runs) * line.column.metric.in_label_unit(1.0)
    style.curve(ax, curve, line.look, marked(line.label, line.unranked))
    if line.unranked:
        return
    best = curve["mean"].idxmax() if line.column.metric.higher_is_better else curve["mean"].idxmin()
    ax.plot(best, curve["mean"][best], "o", color=line.look.color, markerfacecolor="white", zorder=3, clip_on=False)
