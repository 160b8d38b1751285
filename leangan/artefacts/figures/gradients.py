"""How strongly D's answer depends on each pixel of generated images, over training (arXiv:2006.06676, fig. 6c).

Images above, below them the magnitude of D's gradient, white where it is largest in the image. Where D overfits the
gradients lose their detail.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import picture_rows, style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.picture_rows import PictureRow, first_middle_last, first_runs, picture_folder
from leangan.core.spec import snapshot_name
from leangan.results.sample_grids import read_grid, tile

IMAGES = 4


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """The first, the middle and the last snapshot; a line per method, of many settings in the same three."""
    found = []
    for label, column, run in first_runs(artefact, first_middle_last(artefact.main_columns)):
        named = {kimg: f"gradients-{snapshot_name(round(kimg * 1000))}.png" for kimg, _ in run.curve}
        paths = {kimg: path for kimg, name in named.items() if (path := picture_folder(rows_dir, run) / name).exists()}
        pictures = [
            (tile(read_grid(paths[kimg], int(column.setting["resolution"]))[:, :IMAGES]), f"{kimg:,.9g} kimg")
            for kimg in first_middle_last(list(paths))
        ]
        if pictures:
            found.append(PictureRow(label, pictures))
    if not found:
        return style.message("No picture of D's gradients is here: they stay where the runs were trained.")
    return picture_rows.draw(found, IMAGES / 2)
