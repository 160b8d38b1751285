"""Curves of the training log as small multiples: a column per method, a row per setting."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.artefacts.panels import KIMG, kimg_axis, legend
from leangan.results.measured_runs import Run
from leangan.results.training_log import seed_range

Curves = dict[str, tuple[str, style.Look]]
"""Key of train.jsonl -> (label, look)."""


def draw(
    artefact: Artefact, rows_dir: Path, settings: list[Column], curves: Curves, ylabel: str, level: float
) -> Figure:
    """Mean and range over seeds of each of `curves`; one y axis for all panels, with a line at `level`.

    The settings of one method alone stand side by side.
    """
    methods = artefact.main_methods
    if len(methods) == 1 and len(settings) > 1:
        (method,) = methods
        figure, axes = style.wrap_panels(len(settings), 1.6, sharex=True, sharey=True)
        for ax, column in zip(axes, settings, strict=True):
            _panel(ax, rows_dir, column.finished_runs(method), curves, level)
            style.title(ax, column.title)
            if style.is_leftmost(ax):
                ax.set_ylabel(ylabel)
    else:
        height = 0.55 + 1.45 * len(settings)
        figure, grid = style.panels(len(settings), len(methods), height, sharex="row", sharey=True)
        for line, column in zip(grid, settings, strict=True):
            for ax, method in zip(line, methods, strict=True):
                _panel(ax, rows_dir, column.finished_runs(method), curves, level)
            line[0].set_ylabel(ylabel if len(settings) == 1 else f"{ylabel}\n{column.title}")
        for ax, title in zip(grid[0], methods.values(), strict=True):
            style.title(ax, title)
    for ax in figure.axes:
        kimg_axis(ax)
    figure.supxlabel(KIMG, fontsize=7)
    legend(figure, 4, "outside upper center")
    return figure


def _panel(ax: Axes, rows_dir: Path, runs: list[Run], curves: Curves, level: float) -> None:
    for key, (label, look) in curves.items():
        values = seed_range(rows_dir, runs, key)
        if values is not None:
            style.curve(ax, values, look, label)
    ax.axhline(level, color="black", linewidth=0.5)
