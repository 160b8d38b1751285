"""Curves of the training log as small multiples: a column per method, a row per setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact, Column
from report.results import Run
from report.training_log import seed_range

Curves = dict[str, tuple[str, str, Any]]
"""Key of train.jsonl -> (label, colour, line style)."""


def draw(artefact: Artefact, rows: Path, settings: list[Column], curves: Curves, ylabel: str, level: float) -> Figure:
    """Mean and range over seeds of each of `curves`; one y axis for all panels, with a line at `level`.

    The settings of one method alone stand side by side.
    """
    methods = artefact.main_methods
    if len(methods) == 1 and len(settings) > 1:
        (method,) = methods
        figure, axes = style.wrapped(len(settings), 1.6, sharex=True, sharey=True)
        for ax, column in zip(axes, settings, strict=True):
            _panel(ax, rows, column.done(method), curves, level)
            ax.set_title(column.title)
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(ylabel)
    else:
        height = 0.55 + 1.45 * len(settings)
        figure, grid = style.panels(len(settings), len(methods), height, sharex="row", sharey=True)
        for line, column in zip(grid, settings, strict=True):
            for ax, method in zip(line, methods, strict=True):
                _panel(ax, rows, column.done(method), curves, level)
            line[0].set_ylabel(ylabel if len(settings) == 1 else f"{ylabel}\n{column.title}")
        for ax, title in zip(grid[0], methods.values(), strict=True):
            ax.set_title(title)
    figure.supxlabel("images shown to D (kimg)", fontsize=7)
    handles = {label: line for ax in figure.axes for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return figure


def _panel(ax: Axes, rows: Path, runs: list[Run], curves: Curves, level: float) -> None:
    for key, (label, color, dashes) in curves.items():
        values = seed_range(rows, runs, key)
        if values is None:
            continue
        ax.plot(values.index, values["mean"], color=color, linestyle=dashes, label=label)
        ax.fill_between(values.index, values["min"], values["max"], color=color, alpha=0.15, linewidth=0)
    ax.axhline(level, color="black", linewidth=0.5)
    ax.set_xlim(left=0)
