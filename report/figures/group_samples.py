"""Generated images of the last snapshot of every method, in the order of the table, after training images.

Images are neither chosen nor sorted: the upper left corner of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.sample_grids import grid_path, read_grid, reals_path, tile

COLUMNS, CELLS = 8, 4


def draw(artefact: Artefact, rows: Path) -> Figure:
    """A panel of 4 x 4 images per method with its distance; the backbone is named where another has the method, too."""
    pictures: list[tuple[str, np.ndarray]] = []
    for group in artefact.groups:
        column = group.columns[0]
        for method in group.methods:
            if not (runs := column.done(method)):
                continue
            run, px = runs[0], int(column.setting["resolution"])
            if not pictures:
                pictures.append(("training images", read_grid(reals_path(rows, run.run), px)))
            title = f"{artefact.methods[method]}\n{group.title}: {column.metric.text(run.final)}"
            pictures.append((title, read_grid(grid_path(rows, run.run, run.final_kimg), px)))
    if not pictures:
        return style.message("The grids of this artefact have no titles, or no run has finished.")
    lines = -(-len(pictures) // COLUMNS)
    figure, axes = style.panels(lines, COLUMNS, 1.2 * lines + 0.2)
    panels = [ax for line in axes for ax in line]
    for ax in panels:
        ax.set_axis_off()
    for ax, (title, grid) in zip(panels, pictures, strict=False):
        _show(ax, title, grid[:CELLS, :CELLS])
    metric, proxy = artefact.columns[0].metric, artefact.columns[0].proxy
    figure.supxlabel(f"numbers: {metric.label} at the end{', a proxy, not FID' if proxy else ''}", fontsize=6.5)
    return figure


def _show(ax: Axes, title: str, cells: np.ndarray) -> None:
    """`cells` [rows, columns, C, H, W] with their pixels as they are."""
    ax.imshow(tile(cells), cmap="gray", vmin=0, vmax=255, interpolation="none")
    ax.set_title(title, fontsize=4.5)
