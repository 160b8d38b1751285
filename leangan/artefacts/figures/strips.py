"""Interpolations between two generated images, one strip per method (after arXiv:2006.10738, sec. 4.3).

Smooth ones speak against a generator that knows its training images by heart. From the end of the run.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import picture_lines, style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.picture_lines import Line, folder, runs
from leangan.results.sample_grids import read_grid, tile


def draw(artefact: Artefact, rows: Path) -> Figure:
    """The first strip of each run, neither chosen nor sorted; with fewer than four lines, the first two."""
    found = [
        (label, read_grid(path, int(column.setting["resolution"])))
        for label, column, run in runs(artefact, artefact.main_columns)
        if (path := folder(rows, run) / "strips.png").exists()
    ]
    if not found:
        return style.message("No picture of interpolations is here: they stay where the runs were trained.")
    strips = 2 if len(found) < 4 else 1
    lines = [Line(label, [(tile(cells[:strips]), "")]) for label, cells in found]
    return picture_lines.draw(lines, found[0][1].shape[1] / strips)
