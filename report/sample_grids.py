"""The grids of a run: generated images samples/<kimg>.png and training images samples/reals.png, cells side by side."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from suite.errors import ConfigError
from suite.spec import snapshot_name

SIDE = 6
"""Cells per side of what is shown: half of a grid, which has 6 rows and 12 columns."""


def grid_path(rows: Path, run: str, kimg: float) -> Path:
    """The grid of one snapshot; `rows` is results/<scale>/rows."""
    return rows / run / "samples" / f"{snapshot_name(round(kimg * 1000))}.png"


def reals_path(rows: Path, run: str) -> Path:
    """The grid of the images that the run trained on."""
    return rows / run / "samples" / "reals.png"


def read_grid(path: Path, resolution: int) -> np.ndarray:
    """All images of a grid, uint8 [rows, columns, C, H, W].

    Raises ConfigError where the file is missing or is no whole number of images wide and high.
    """
    if not path.exists():
        raise ConfigError(f"{path} is missing. Run snakemake for this run, or leave its samples out.")
    with Image.open(path) as image:
        grid = np.atleast_3d(np.asarray(image if image.mode == "L" else image.convert("RGB")))
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


def data_uri(picture: Image.Image, width: int) -> str:
    """The picture, scaled down to at most `width` pixels, as a WebP that stands inside a page."""
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
