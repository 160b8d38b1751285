"""Drawn shapes with known attributes, for tests: no photograph, no download, every property exact."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image

from leangan.data.contracts import Source
from leangan.data.known_sets import KnownSet

SIZE_PX = 64


class Procedural(Source):
    """`count` images of one ellipse (class 0) or rectangle (class 1) on grey.

    Known attributes, float64 [N] each, of image i:
    `orientation` of the long axis against the x-axis, U(-pi/8, pi/8), counter-clockwise;
    `hue` U(0, 1/3), red to green; `scale`, half the long axis over the image width, U(0.2, 0.35).
    Narrow on purpose: an augmentation that leaks (rotation, hue, ...) leaves these ranges.
    """

    name = "procedural"
    class_names = ["ellipse", "rectangle"]
    labels: np.ndarray

    def __init__(self, licence: str, origin: str, count: int = 1024, seed: int = 0):
        self.licence = licence
        self.origin = origin
        # One row of draws per image, so that a larger set begins with the images of a smaller one.
        draws = np.random.RandomState(seed).rand(count, 6)
        self.labels = (draws[:, 0] < 0.5).astype(np.int64)
        self.orientation = (draws[:, 1] - 0.5) * np.pi / 4
        self.hue = draws[:, 2] / 3
        self.scale = 0.2 + 0.15 * draws[:, 3]
        self.centre = 0.5 + (draws[:, 4:] - 0.5) * 0.2

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        centres = (np.arange(SIZE_PX) + 0.5) / SIZE_PX
        x = centres[None, :] - self.centre[index, 0]
        y = self.centre[index, 1] - centres[:, None]  # upwards
        cos, sin = np.cos(self.orientation[index]), np.sin(self.orientation[index])
        along = (x * cos + y * sin) / self.scale[index]
        across = (y * cos - x * sin) / (0.5 * self.scale[index])
        radius = np.maximum(abs(along), abs(across)) if self.labels[index] else np.hypot(along, across)
        # Coverage falls from 1 to 0 over about one pixel at the rim, where radius = 1.
        coverage = np.clip(0.5 + (1 - radius) * 0.5 * self.scale[index] * SIZE_PX, 0, 1)[:, :, None]
        colour = np.array(colorsys.hsv_to_rgb(self.hue[index], 0.8, 0.9))
        pixels = coverage * colour + (1 - coverage) * 0.5
        return Image.fromarray(np.round(pixels * 255).astype(np.uint8))


def open_set(row: KnownSet, path: None) -> Procedural:
    """The shapes of the known set."""
    return Procedural(row.licence, "drawn by leangan/data/readers/procedural.py")
