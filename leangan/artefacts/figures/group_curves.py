"""Distance over images shown to D, one panel per titled grid: its methods beside the baseline of the same setting."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact, Group
from leangan.artefacts.panels import KIMG, distance_axis, kimg_axis, marked
from leangan.results.measured_runs import mean_curve

COLUMNS = 3
BASELINE = "none"


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """Panels side by side with one y axis: means over seeds, their range shaded. Each panel has colours of its own."""
    groups = [group for group in artefact.groups if any(map(group.columns[0].finished_runs, group.methods))]
    if not groups:
        return style.message("The grids of this artefact have no titles, or no run has finished.")
    lines = -(-len(groups) // COLUMNS)
    figure, axes = style.panels(lines, COLUMNS, 2.6 * lines, sharex=True, sharey=True)
    panels = [ax for line in axes for ax in line]
    for ax, group in zip(panels, groups, strict=False):
        _panel(ax, artefact, group)
    for ax in panels[len(groups) :]:
        ax.remove()
    for ax in panels[: len(groups)]:
        kimg_axis(ax)
        ax.tick_params(labelbottom=True)
    for line in axes:
        distance_axis(line[0], groups[0].columns[0])
    figure.supxlabel(KIMG, fontsize=7)
    return figure


def _panel(ax: Axes, artefact: Artefact, group: Group) -> None:
    column = group.columns[0]
    methods = [BASELINE, *(method for method in group.methods if method != BASELINE)]
    looks = style.method_looks(methods)
    for method in methods:
        if runs := column.finished_runs(method):
            curve = mean_curve(runs) * column.metric.in_label_unit(1.0)
            label = marked(artefact.methods.get(method, method), artefact.unranked(column, method))
            style.curve(ax, curve, looks[method], label)
    style.title(ax, group.title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=1, fontsize=5.5)
