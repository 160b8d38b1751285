"""Generated images of each method beside training images: the best snapshot above, the final one below.

Of more than FEW settings there is only the best snapshot. Where a run came without the picture of its best snapshot, as
in a clone, there are only the final ones.

Images are neither chosen nor sorted: the left half of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.results.measured_runs import Run
from leangan.results.sample_grids import SIDE, first_grid, grid_path, reals_path, tile

PANEL_IN = 1.6
PANEL_PX = round(PANEL_IN * style.DPI)
FEW = 3


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """A row of panels per setting and snapshot, a column per method after that of the training images."""
    settings, methods = artefact.main_columns, artefact.main_methods
    shown = [runs[0] for column in settings for method in methods if (runs := column.finished_runs(method))]
    kinds = _kinds(shown, rows_dir)[: 2 if len(settings) <= FEW else 1]
    width = len(methods) + 1
    panel_in = min(PANEL_IN, style.TEXT_IN / width)
    height = len(settings) * (len(kinds) * panel_in + 0.5)
    figure, axes = style.panels(len(kinds) * len(settings), width, height, panel_in * width)
    for number, column in enumerate(settings):
        lines = axes[len(kinds) * number : len(kinds) * (number + 1)]
        _training_images([line[0] for line in lines], column, rows_dir)
        for i, method in enumerate(methods, 1):
            for line, kind in zip(lines, kinds, strict=True):
                _generated(line[i], column, method, kind, rows_dir)
    for ax, title in zip(axes[0][1:], methods.values(), strict=True):
        ax.set_title(textwrap.fill(title, round(panel_in / 0.06)))
    column = settings[0]
    below = f"numbers: {column.metric.label}{', a proxy, not FID' if column.proxy else ''}"
    if "best" not in kinds:
        below += "; pictures of the best snapshots stay where the runs were trained"
    figure.supxlabel(below, fontsize=6.5)
    return figure


def _kinds(shown: list[Run], rows_dir: Path) -> list[str]:
    """The kinds of snapshots to show: the best of all runs, if the picture of each is here, and the final ones."""
    return [*(["best"] if all(grid_path(rows_dir, run.run, run.best_kimg) for run in shown) else []), "final"]


def _training_images(axes: list[Axes], column: Column, rows_dir: Path) -> None:
    """The halves of a grid of training images; all runs of a setting have the same training set."""
    paths = (reals_path(rows_dir, run.run) for run in column.runs if run.status == "done")
    grid = first_grid(paths, int(column.setting["resolution"]))
    for ax, half in zip(axes, (slice(SIDE), slice(-SIDE, None)), strict=False):
        _show(ax, grid, half)
    axes[0].set_title(f"training images\n({column.title})")


def _generated(ax: Axes, column: Column, method: str, kind: str, rows_dir: Path) -> None:
    """The best or the final snapshot; blank where the method has no run."""
    runs = column.finished_runs(method)
    if not runs:
        ax.set_axis_off()
        return
    kimg, value = getattr(runs[0], f"{kind}_kimg"), getattr(runs[0], kind)
    _show(ax, first_grid([grid_path(rows_dir, runs[0].run, kimg)], int(column.setting["resolution"])), slice(SIDE))
    ax.set_xlabel(f"{kind}: {column.metric.text(value)} at {kimg:,.9g} kimg", fontsize=6)


def _show(ax: Axes, grid: np.ndarray | None, columns: slice) -> None:
    """Some columns of `grid` [rows, columns, C, H, W]; images keep their pixels down to print size."""
    picture = None if grid is None else tile(grid[:SIDE, columns])
    if picture is not None:
        picture.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
    style.picture(ax, picture)
