"""The sample grids of a run: samples/<kimg>.png, square cells side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from suite.errors import ConfigError


def grid_path(runs: str | Path, run: str, kimg: float) -> Path:
    """Where training leaves the grid of a snapshot."""
    return Path(runs) / run / "samples" / f"{kimg:08.3f}.png"


def first_cells(path: Path, resolution: int, side: int) -> np.ndarray:
    """The upper left side x side images of a grid, uint8 [N, C, H, W], fewer where it has fewer.

    Raises ConfigError where the file is missing or is no whole number of images wide and high.
    """
    if not path.exists():
        raise ConfigError(f"{path} is missing. Run snakemake for this run, or leave its samples out.")
    with Image.open(path) as image:
        grid = np.atleast_3d(np.asarray(image if image.mode == "L" else image.convert("RGB")))
    height, width, channels = grid.shape
    if width % resolution or height % resolution:
        raise ConfigError(f"{path} is {width} x {height} pixels, no whole number of {resolution}-pixel images.")
    rows, columns = min(side, height // resolution), min(side, width // resolution)
    cells = grid[: rows * resolution, : columns * resolution].reshape(rows, resolution, columns, resolution, channels)
    return cells.transpose(0, 2, 4, 1, 3).reshape(rows * columns, channels, resolution, resolution)


def tile(images: np.ndarray, columns: int) -> Image.Image:
    """Images uint8 [N, C, H, W] as one picture, a thin white line between them."""
    n, channels, height, width = images.shape
    gap = max(1, width // 32)
    rows = -(-n // columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8)
    for i, cell in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        grid[y : y + height, x : x + width] = cell.transpose(1, 2, 0)
    return Image.fromarray(grid[:, :, 0] if channels == 1 else grid)
