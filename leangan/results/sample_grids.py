"""The grids of a run: generated images samples/<kimg>.png and training images samples/reals.png, cells side by side.

Rows that came from version control have two of them as WebP (leangan/results/keep.py): the final snapshot's, and the
training images or the best snapshot's.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.spec import snapshot_name
from leangan.results.measured_runs import Run

SIDE = 6
"""Cells per side of what is shown: half of a grid, which has 6 rows and 12 columns."""

CELL_PX = 40
"""The largest width of a cell on the page."""

NEIGHBOURS_SIDE = 8
"""Of neighbours-<protocol>.png, which is shown whole."""

KEPT_PX = 64
"""The largest width of a cell in a WebP: small enough for all cells of a grid, and what figures print of one."""


@dataclass(frozen=True)
class Grid:
    """A picture of several images of `resolution` pixels, stored as `source`, on the page as `file`.

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


def grid_path(rows_dir: Path, run: str, kimg: float) -> Path | None:
    """The grid of one snapshot, None where it is not here; `rows_dir` is results/<scale>/rows."""
    return _find_picture(rows_dir / run / "samples", snapshot_name(round(kimg * 1000)))


def reals_path(rows_dir: Path, run: str) -> Path | None:
    """The grid of the images that the run trained on, None where it is not here."""
    return _find_picture(rows_dir / run / "samples", "reals")


def _find_picture(samples: Path, name: str) -> Path | None:
    """The PNG as training left it, else the WebP that came with the rows."""
    return next((path for ending in ("png", "webp") if (path := samples / f"{name}.{ending}").exists()), None)


def cell_px(path: Path, resolution: int) -> int:
    """The width of a cell in a grid of images of `resolution` pixels, a power of two."""
    return min(resolution, KEPT_PX) if path.suffix == ".webp" else resolution


def read_picture(path: Path) -> Image.Image:
    """A picture in grey or RGB. Raises ConfigError where the file is damaged."""
    try:
        with Image.open(path) as image:
            return image.copy() if image.mode == "L" else image.convert("RGB")
    except (OSError, SyntaxError) as error:  # Pillow's words for half a file, and for one of another kind
        if getattr(error, "errno", None) is not None:
            raise
        raise ConfigError(f"{path} is no whole picture. Delete it: the page does without it.") from None


def read_grid(path: Path, resolution: int) -> np.ndarray:
    """All images of a grid, uint8 [rows, columns, C, H, W]; H = W = `resolution`, in a WebP KEPT_PX at most.

    Raises ConfigError where the file is damaged or no whole number of images wide and high.
    """
    grid = np.atleast_3d(np.asarray(read_picture(path)))
    (height, width, channels), cell = grid.shape, cell_px(path, resolution)
    if width % cell or height % cell:
        raise ConfigError(f"{path} is {width} x {height} pixels, no whole number of {cell}-pixel images.")
    cells = grid.reshape(height // cell, cell, width // cell, cell, channels)
    return cells.transpose(0, 2, 4, 1, 3)


def first_grid(paths: Iterable[Path | None], resolution: int) -> np.ndarray | None:
    """The first of several grids that is here, None where none is."""
    path = next(filter(None, paths), None)
    return None if path is None else read_grid(path, resolution)


def tile(cells: np.ndarray) -> Image.Image:
    """Images uint8 [rows, columns, C, H, W] as one picture, a thin white line between them."""
    rows, columns, channels, height, width = cells.shape
    gap = max(1, width // 32)
    picture = np.full((rows, height + gap, columns, width + gap, channels), 255, np.uint8)
    picture[:, :height, :, :width] = cells.transpose(0, 3, 1, 4, 2)
    picture = picture.reshape(rows * (height + gap), columns * (width + gap), channels)[:-gap, :-gap]
    return Image.fromarray(picture.squeeze(2) if channels == 1 else picture)


def grids_of(rows_dir: Path, run: Run, protocol: str, resolution: int, method: str, dataset: str) -> Iterator[Grid]:
    """The best and the final snapshot's images, training images, fakes beside their neighbours: those that exist."""
    kimgs = dict.fromkeys((run.best_kimg, run.final_kimg))
    kinds = ["best and final"] if len(kimgs) == 1 else ["best", "final"]
    found = [
        (
            grid_path(rows_dir, run.run, kimg),
            f"Samples, {kind}, {kimg:,.9g} kimg",
            f"Generated images of {method}",
            SIDE,
        )
        for kind, kimg in zip(kinds, kimgs, strict=True)
    ]
    found.append((reals_path(rows_dir, run.run), "Training images", f"Training images of {dataset}", SIDE))
    found.append(
        (
            _find_picture(rows_dir / run.run, f"neighbours-{protocol}"),
            "Twice a fake and the three training images nearest to it: the first fakes, the likeliest copies",
            f"Generated images of {method} beside the training images nearest to them",
            NEIGHBOURS_SIDE,
        )
    )
    for path, caption, alternative, side in found:
        if path is not None:
            yield Grid(caption, alternative, path, resolution, f"samples/{run.run}/{path.stem}.webp", side)


def write_pictures(grids: Iterable[Grid], folder: Path) -> None:
    """Write the pictures of the page in `folder`; one that is newer than the grid it shows is left as it is."""
    for grid in grids:
        target = folder / grid.file
        if not target.exists() or target.stat().st_mtime < grid.source.stat().st_mtime:
            picture = tile(read_grid(grid.source, grid.resolution)[: grid.side, : grid.side])
            write_atomic(target, webp(scale_down(picture, grid.width), quality=80))


def remove_other_pictures(grids: Iterable[Grid], folder: Path) -> None:
    """Remove the pictures of runs that the page in `folder` no longer shows."""
    shown = {folder / grid.file for grid in grids}
    for path in set(folder.glob("samples/*/*/*.webp")) - shown:
        path.unlink()
        for empty in path.parents[:3]:
            if not any(empty.iterdir()):
                empty.rmdir()


def scale_down(picture: Image.Image, width: int) -> Image.Image:
    """The picture, scaled down to at most `width` pixels."""
    if picture.width <= width:
        return picture
    return picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)


def webp(picture: Image.Image, quality: int) -> bytes:
    """The picture as a lossy WebP of a quality from 0 to 100."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
