"""Generated images of each method beside training images: the best snapshot above, the final one below.

Images are neither chosen nor sorted: the left half of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from report import style
from report.artefact import Artefact, Column
from report.sample_grids import SIDE, grid_path, read_grid, reals_path, tile

PANEL_IN = 1.6
PANEL_PX = round(PANEL_IN * style.DPI)


def draw(artefact: Artefact, rows: Path) -> Figure:
    """Two rows of panels per setting, a column per method after that of the training images."""
    settings, methods = artefact.main_columns, artefact.main_methods
    width = len(methods) + 1
    panel_in = min(PANEL_IN, style.TEXT_IN / width)
    figure, axes = style.panels(2 * len(settings), width, (2 * panel_in + 0.5) * len(settings), panel_in * width)
    for upper, lower, column in zip(axes[::2], axes[1::2], settings, strict=True):
        _training_images((upper[0], lower[0]), column, rows)
        for i, method in enumerate(methods, 1):
            _generated((upper[i], lower[i]), column, method, rows)
    for ax, title in zip(axes[0][1:], methods.values(), strict=True):
        ax.set_title(title)
    column = settings[0]
    figure.supxlabel(f"numbers: {column.metric.label}{', a proxy, not FID' if column.proxy else ''}", fontsize=6.5)
    return figure


def _training_images(axes: tuple[Axes, Axes], column: Column, rows: Path) -> None:
    """The two halves of a grid of training images; all runs of a setting have the same training set."""
    run = next(run for run in column.runs if run.status == "done")
    grid = read_grid(reals_path(rows, run.run), int(column.setting["resolution"]))
    _show(axes[0], grid[:SIDE, :SIDE])
    _show(axes[1], grid[:SIDE, -SIDE:])
    axes[0].set_title(f"training images\n({column.title})")


def _generated(axes: tuple[Axes, Axes], column: Column, method: str, rows: Path) -> None:
    """The best and the final snapshot; blank where the method has no run."""
    runs = column.done(method)
    for ax, kind in zip(axes, ("best", "final"), strict=True):
        if not runs:
            ax.set_axis_off()
            continue
        kimg, value = getattr(runs[0], f"{kind}_kimg"), getattr(runs[0], kind)
        _show(ax, read_grid(grid_path(rows, runs[0].run, kimg), int(column.setting["resolution"]))[:SIDE, :SIDE])
        ax.set_xlabel(f"{kind}: {column.metric.text(value)} at {kimg:g} kimg", fontsize=6)


def _show(ax: Axes, cells: np.ndarray) -> None:
    """`cells` [rows, columns, C, H, W]; small images keep their pixels, large ones are scaled to print size."""
    picture = tile(cells)
    picture.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
