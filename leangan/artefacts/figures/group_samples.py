"""Generated images of the last snapshot of every method, a line of panels per titled grid, after training images.

Images are neither chosen nor sorted: the upper left corner of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact, Group
from leangan.results.sample_grids import first_grid, grid_path, reals_path, tile

COLUMNS, CELLS = 8, 4
FONT = 4.5


@dataclass(frozen=True)
class SamplePanel:
    """The corner of `grid` [rows, columns, C, H, W] (None: no picture came with the rows), and the text below it."""

    title: str
    below: str
    grid: np.ndarray | None


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """A panel of 4 x 4 images per method, its distance below; a grid of many methods has several lines."""
    lines: list[tuple[str, list[SamplePanel]]] = []
    for group in artefact.groups:
        panels = _panels(artefact, group, rows_dir)
        if panels and not lines:
            panels = [_training_images(group, rows_dir), *panels]
        lines += [(group.title, panels[i : i + COLUMNS]) for i in range(0, len(panels), COLUMNS)]
    if not lines:
        return style.message("The grids of this artefact have no titles, or no run has finished.")
    figure, axes = style.panels(len(lines), COLUMNS, 1.15 * len(lines) + 0.2)
    for axes_of_line, (title, panels) in zip(axes, lines, strict=True):
        for ax, panel in zip(axes_of_line, panels, strict=False):
            _show(ax, panel)
        for ax in axes_of_line[len(panels) :]:
            ax.set_axis_off()
        axes_of_line[0].set_ylabel(textwrap.fill(title, 18), fontsize=FONT + 1)
    metric, proxy = artefact.columns[0].metric, artefact.columns[0].proxy
    figure.supxlabel(f"numbers: {metric.label} at the end{', a proxy, not FID' if proxy else ''}", fontsize=6.5)
    return figure


def _panels(artefact: Artefact, group: Group, rows_dir: Path) -> list[SamplePanel]:
    """The methods of a group that have numbers."""
    column = group.columns[0]
    runs = {method: column.finished_runs(method)[0] for method in group.methods if column.finished_runs(method)}
    panels = []
    for method, run in runs.items():
        grid = first_grid([grid_path(rows_dir, run.run, run.final_kimg)], int(column.setting["resolution"]))
        panels.append(SamplePanel(artefact.methods[method], column.metric.text(run.final), grid))
    return panels


def _training_images(group: Group, rows_dir: Path) -> SamplePanel:
    """The training images of the group, from its first finished run that has them: a setting has one training set."""
    column = group.columns[0]
    paths = (reals_path(rows_dir, run.run) for run in column.runs if run.status == "done")
    return SamplePanel("training images", "", first_grid(paths, int(column.setting["resolution"])))


def _show(ax: Axes, panel: SamplePanel) -> None:
    """Images keep their pixels."""
    style.picture(ax, None if panel.grid is None else tile(panel.grid[:CELLS, :CELLS]))
    ax.set_title(textwrap.fill(panel.title, 22), fontsize=FONT)
    ax.set_xlabel(panel.below, fontsize=FONT)
