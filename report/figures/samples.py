"""Generated images of each method beside training images: the best snapshot above, the final one below.

Of more than FEW settings there is only the best snapshot.

Images are neither chosen nor sorted: the left half of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from report import style
from report.artefact import Artefact
from report.columns import Column
from report.sample_grids import SIDE, grid_path, read_grid, reals_path, tile

PANEL_IN = 1.6
PANEL_PX = round(PANEL_IN * style.DPI)
FEW = 3


def draw(artefact: Artefact, rows: Path) -> Figure:
    """A row of panels per setting and snapshot, a column per method after that of the training images."""
    settings, methods = artefact.main_columns, artefact.main_methods
    kinds = ("best", "final") if len(settings) <= FEW else ("best",)
    width = len(methods) + 1
    panel_in = min(PANEL_IN, style.TEXT_IN / width)
    height = len(settings) * (len(kinds) * panel_in + 0.5)
    figure, axes = style.panels(len(kinds) * len(settings), width, height, panel_in * width)
    for number, column in enumerate(settings):
        lines = axes[len(kinds) * number : len(kinds) * (number + 1)]
        _training_images([line[0] for line in lines], column, rows)
        for i, method in enumerate(methods, 1):
            for line, kind in zip(lines, kinds, strict=True):
                _generated(line[i], column, method, kind, rows)
    for ax, title in zip(axes[0][1:], methods.values(), strict=True):
        ax.set_title(textwrap.fill(title, round(panel_in / 0.06)))
    column = settings[0]
    figure.supxlabel(f"numbers: {column.metric.label}{', a proxy, not FID' if column.proxy else ''}", fontsize=6.5)
    return figure


def _training_images(axes: list[Axes], column: Column, rows: Path) -> None:
    """The halves of a grid of training images; all runs of a setting have the same training set."""
    run = next(run for run in column.runs if run.status == "done")
    grid = read_grid(reals_path(rows, run.run), int(column.setting["resolution"]))
    for ax, half in zip(axes, (grid[:SIDE, :SIDE], grid[:SIDE, -SIDE:]), strict=False):
        _show(ax, half)
    axes[0].set_title(f"training images\n({column.title})")


def _generated(ax: Axes, column: Column, method: str, kind: str, rows: Path) -> None:
    """The best or the final snapshot; blank where the method has no run."""
    runs = column.done(method)
    if not runs:
        ax.set_axis_off()
        return
    kimg, value = getattr(runs[0], f"{kind}_kimg"), getattr(runs[0], kind)
    _show(ax, read_grid(grid_path(rows, runs[0].run, kimg), int(column.setting["resolution"]))[:SIDE, :SIDE])
    ax.set_xlabel(f"{kind}: {column.metric.text(value)} at {kimg:,.9g} kimg", fontsize=6)


def _show(ax: Axes, cells: np.ndarray) -> None:
    """`cells` [rows, columns, C, H, W]; small images keep their pixels, large ones are scaled to print size."""
    picture = tile(cells)
    picture.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
    style.picture(ax, picture)
