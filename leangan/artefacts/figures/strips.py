"""Interpolations between two generated images, one strip per method (after arXiv:2006.10738, sec. 4.3).

Smooth ones speak against a generator that knows its training images by heart. From the end of the run.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import picture_rows, style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.picture_rows import PictureRow, first_runs, picture_folder
from leangan.results.sample_grids import read_grid, tile


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """The first strip of each run, neither chosen nor sorted; with fewer than four rows, the first two."""
    found = [
        (label, read_grid(path, int(column.setting["resolution"])))
        for label, column, run in first_runs(artefact, artefact.main_columns)
        if (path := picture_folder(rows_dir, run) / "strips.png").exists()
    ]
    if not found:
        return style.message("No picture of interpolations is here: they stay where the runs were trained.")
    strips = 2 if len(found) < 4 else 1
    drawn = [PictureRow(label, [(tile(cells[:strips]), "")]) for label, cells in found]
    return picture_rows.draw(drawn, found[0][1].shape[1] / strips)
