"""The grids of a run: generated images samples/<kimg>.png and training images samples/reals.png, cells side by side."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from report.results import Run
from suite.errors import ConfigError
from suite.files import write_atomic
from suite.spec import snapshot_name

SIDE = 6
"""Cells per side of what is shown: half of a grid, which has 6 rows and 12 columns."""

CELL_PX = 40
"""The largest width of a cell on the page."""

NEIGHBOURS_SIDE = 8
"""Of neighbours-<protocol>.png, which is shown whole."""


@dataclass(frozen=True)
class Grid:
    """A picture of several images: the PNG `source` with cells of `resolution` pixels, on the page as `file`.

    It shows the first `side` rows and columns.
    """

    caption: str
    alternative: str
    source: Path
    resolution: int
    file: str
    side: int = SIDE

    @property
    def width(self) -> int:
        """Its width on the page, in pixels."""
        return CELL_PX * self.side


def grid_path(rows: Path, run: str, kimg: float) -> Path:
    """The grid of one snapshot; `rows` is results/<scale>/rows."""
    return rows / run / "samples" / f"{snapshot_name(round(kimg * 1000))}.png"


def reals_path(rows: Path, run: str) -> Path:
    """The grid of the images that the run trained on."""
    return rows / run / "samples" / "reals.png"


def read_grid(path: Path, resolution: int) -> np.ndarray:
    """All images of a grid, uint8 [rows, columns, C, H, W].

    Raises ConfigError where the file is missing, damaged or no whole number of images wide and high.
    """
    if not path.exists():
        raise ConfigError(f"{path} is missing. Run snakemake for this run, or leave its samples out.")
    try:
        with Image.open(path) as image:
            grid = np.atleast_3d(np.asarray(image if image.mode == "L" else image.convert("RGB")))
    except (OSError, SyntaxError) as error:  # Pillow's words for half a file, and for one of another kind
        if getattr(error, "errno", None) is not None:
            raise
        raise ConfigError(f"{path} is no whole picture. Delete it: the page does without it.") from None
    height, width, channels = grid.shape
    if width % resolution or height % resolution:
        raise ConfigError(f"{path} is {width} x {height} pixels, no whole number of {resolution}-pixel images.")
    cells = grid.reshape(height // resolution, resolution, width // resolution, resolution, channels)
    return cells.transpose(0, 2, 4, 1, 3)


def tile(cells: np.ndarray) -> Image.Image:
    """Images uint8 [rows, columns, C, H, W] as one picture, a thin white line between them."""
    rows, columns, channels, height, width = cells.shape
    gap = max(1, width // 32)
    picture = np.full((rows, height + gap, columns, width + gap, channels), 255, np.uint8)
    picture[:, :height, :, :width] = cells.transpose(0, 3, 1, 4, 2)
    picture = picture.reshape(rows * (height + gap), columns * (width + gap), channels)[:-gap, :-gap]
    return Image.fromarray(picture.squeeze(2) if channels == 1 else picture)


def grids_of(rows: Path, run: Run, protocol: str, resolution: int, method: str, dataset: str) -> Iterator[Grid]:
    """The best and the final snapshot's images, training images, fakes beside their neighbours: those that exist."""
    kimgs = dict.fromkeys((run.best_kimg, run.final_kimg))
    kinds = ["best and final"] if len(kimgs) == 1 else ["best", "final"]
    found = [
        (grid_path(rows, run.run, kimg), f"Samples, {kind}, {kimg:,.9g} kimg", f"Generated images of {method}", SIDE)
        for kind, kimg in zip(kinds, kimgs, strict=True)
    ]
    found.append((reals_path(rows, run.run), "Training images", f"Training images of {dataset}", SIDE))
    found.append(
        (
            rows / run.run / f"neighbours-{protocol}.png",
            "Twice a fake and the three training images nearest to it: the first fakes, the likeliest copies",
            f"Generated images of {method} beside the training images nearest to them",
            NEIGHBOURS_SIDE,
        )
    )
    for path, caption, alternative, side in found:
        if path.exists():
            yield Grid(caption, alternative, path, resolution, f"samples/{run.run}/{path.stem}.webp", side)


def write_pictures(grids: Iterable[Grid], folder: Path) -> None:
    """Write the pictures of the page in `folder`; one that is newer than the grid it shows is left as it is."""
    for grid in grids:
        target = folder / grid.file
        if not target.exists() or target.stat().st_mtime < grid.source.stat().st_mtime:
            picture = tile(read_grid(grid.source, grid.resolution)[: grid.side, : grid.side])
            write_atomic(target, webp(picture, grid.width))


def remove_other_pictures(grids: Iterable[Grid], folder: Path) -> None:
    """Remove the pictures of runs that the page in `folder` no longer shows."""
    shown = {folder / grid.file for grid in grids}
    for path in set(folder.glob("samples/*/*/*.webp")) - shown:
        path.unlink()
        for empty in path.parents[:3]:
            if not any(empty.iterdir()):
                empty.rmdir()


def webp(picture: Image.Image, width: int) -> bytes:
    """The picture as a WebP, scaled down to at most `width` pixels."""
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()
