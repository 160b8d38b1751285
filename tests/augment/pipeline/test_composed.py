"""The whole pipeline at stated parameters, against the formulas of its transforms (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from leangan.augment import pipeline
from leangan.augment.pipeline import Pipeline

SIZE, MARGIN = 64, 5
LUMA = np.full(3, 3**-0.5)
FLIP, QUARTERS, SHIFT = -1, 1, (6, -3)
SCALE, STRETCH, ANGLES, MOVE = 1.15, 1.2, (0.4, -0.9), (2.6, -4.3)
BRIGHTNESS, CONTRAST, HUE, SATURATION = 0.15, 1.3, 0.7, 0.6
GAINS, SIGMA = (1.2, 0.9, 1.05, 1.1), 0.5
HOLE = np.s_[10:42, 0:25]


def turned(angle: float) -> np.ndarray:
    """Takes (x, y) to the point at `angle` from it, from x towards y."""
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def moved(dx: float, dy: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])


def colour(linear: np.ndarray, shift: float = 0.0) -> np.ndarray:
    return np.block([[linear, np.full((3, 1), shift)], [np.zeros((1, 3)), np.ones((1, 1))]])


GREY = np.outer(LUMA, LUMA)
GEOMETRY = {
    "draw_flip_x": [np.diag([FLIP, 1.0, 1.0])],
    "draw_rotate90": [turned(QUARTERS * np.pi / 2).round()],
    "draw_translate_whole": [moved(*SHIFT)],
    "draw_scale": [np.diag([SCALE, SCALE, 1])],
    "draw_rotate": [turned(angle) for angle in ANGLES],
    "draw_scale_anisotropic": [np.diag([STRETCH, 1 / STRETCH, 1])],
    "draw_translate": [moved(*MOVE)],
}
COLOUR = {
    "draw_brightness": [colour(np.eye(3), BRIGHTNESS)],
    "draw_contrast": [colour(CONTRAST * np.eye(3))],
    "draw_luma_flip": [colour(np.eye(3) - 2 * GREY)],
    "draw_hue": [colour(Rotation.from_rotvec(HUE * LUMA).as_matrix())],
    "draw_saturation": [colour(GREY + SATURATION * (np.eye(3) - GREY))],
}
ORDER = ["flip_x", "rotate90", "translate_whole", "scale", "rotate", "scale_anisotropic", "rotate", "translate"]


P, P_ROTATE = 0.36, 0.2
"""Rotations come twice, and with probability P at least one of them acts: (1 - P_ROTATE)^2 = 1 - P."""


@pytest.fixture
def stated(monkeypatch):
    """Every law gives the value above for each image, and is asked for with the probability that it should have."""

    def replace(name: str, *values: torch.Tensor, probability: float = P) -> None:
        given = iter(values)

        def law(x: torch.Tensor, *arguments: Any) -> torch.Tensor:
            assert float(arguments[-1]) == pytest.approx(probability), name
            return next(given)

        monkeypatch.setattr(pipeline, name, law)

    for name, matrices in {**GEOMETRY, **COLOUR}.items():
        values = [torch.tensor(matrix, dtype=torch.float32)[None] for matrix in matrices]
        replace(name, *values, probability=P_ROTATE if name == "draw_rotate" else P)
    replace("draw_band_gains", *(torch.full((1, 4), gain) for gain in GAINS))
    replace("draw_noise_sigma", torch.tensor([SIGMA]))
    hole = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool)
    hole[0, 0][HOLE] = True
    replace("draw_hole", hole)


def smooth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The colours [3, ...] of a picture that has a value at every point, with a wave of some 30 pixels in each."""
    waves = [(0.20, 0.03, 0.1), (-0.06, 0.19, 1.0), (0.12, 0.15, 2.0)]
    return np.stack([0.6 * np.cos(kx * x + ky * y + phase) for kx, ky, phase in waves])


def test_every_transform_acts_once_in_the_published_order(stated):
    """Outside the hole, where the source of a pixel lies within the picture; noise comes after colours and filters.

    A gain of all bands is a factor, along either axis.
    """
    centre = np.arange(SIZE) - (SIZE - 1) / 2
    y, x = np.meshgrid(centre, centre, indexing="ij")
    image = torch.tensor(smooth(x, y)[None], dtype=torch.float32)
    torch.manual_seed(0)
    out = Pipeline("bgcfnc")(image, P)[0].double().numpy()

    rotations, matrix = iter(GEOMETRY["draw_rotate"]), np.eye(3)
    for name in ORDER:
        matrix = (next(rotations) if name == "rotate" else GEOMETRY[f"draw_{name}"][0]) @ matrix
    from_x, from_y, _ = np.tensordot(np.linalg.inv(matrix), np.stack([x, y, np.ones_like(x)]), 1)
    colours = smooth(from_x, from_y) + BRIGHTNESS
    colours *= CONTRAST
    colours -= 2 * np.tensordot(GREY, colours, 1)
    colours = np.tensordot(Rotation.from_rotvec(HUE * LUMA).as_matrix(), colours, 1)
    mean = colours.mean(0)
    expected = (mean + SATURATION * (colours - mean)) * np.prod(GAINS) ** 2

    assert not out[:, HOLE[0], HOLE[1]].any()
    seen = np.maximum(abs(from_x), abs(from_y)) < SIZE / 2 - MARGIN
    seen[HOLE] = False
    noise = (out - expected)[:, seen]
    assert seen.sum() > 1000
    assert (
        abs(noise.mean()) < 4 * SIGMA / noise.size**0.5 and abs(noise.std() / SIGMA - 1) < 4 / (2 * noise.size) ** 0.5
    )
    torch.manual_seed(0)
    drawn = SIGMA * torch.randn(1, 3, SIZE, SIZE)[0].double().numpy()
    assert np.abs(noise - drawn[:, seen]).max() < 0.02
