"""The whole pipeline at stated parameters, against the formulas of its transforms (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

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


GREY = np.outer(LUMA, LUMA)
ORDER = {
    "flip_x": np.diag([FLIP, 1.0, 1.0]),
    "rotate90": turned(QUARTERS * np.pi / 2).round(),
    "translate_whole": moved(*SHIFT),
    "scale": np.diag([SCALE, SCALE, 1]),
    "rotate": turned(ANGLES[0]),
    "scale_anisotropic": np.diag([STRETCH, 1 / STRETCH, 1]),
    "rotate_again": turned(ANGLES[1]),
    "translate": moved(*MOVE),
}

NUMBERS = {
    **{"flip_x": [1], "rotate90": [QUARTERS], "translate_whole": np.array(SHIFT) / SIZE},
    **{"scale": [np.log2(SCALE)], "rotate": [ANGLES[0]], "scale_anisotropic": [np.log2(STRETCH)]},
    **{"rotate_again": [ANGLES[1]], "translate": np.array(MOVE) / SIZE},
    **{"brightness": [BRIGHTNESS], "contrast": [np.log2(CONTRAST)], "luma_flip": [1], "hue": [HUE]},
    **{"saturation": [np.log2(SATURATION)], "band_1": [0.1], "band_2": [0.2], "band_3": [0.3], "band_4": [0.4]},
    **{"noise": [-SIGMA], "cutout": [9 / SIZE, 26 / SIZE]},
}
"""What the laws would have drawn."""

P = 0.36


@pytest.fixture
def stated(monkeypatch):
    """The laws draw NUMBERS, and are asked to with probability P; rotations come twice, of which one at least acts."""

    def draw(x, p, laws):
        assert p == P and list(laws) == list(NUMBERS)
        assert {name for name, law in laws.items() if law.gates != 1} == {"rotate", "rotate_again"}
        return {name: torch.tensor(numbers, dtype=torch.float32)[None] for name, numbers in NUMBERS.items()}

    def band_gains(x, **numbers):
        assert {name: [pytest.approx(each.item())] for name, each in numbers.items()} == {
            f"band_{i}": NUMBERS[f"band_{i}"] for i in (1, 2, 3, 4)
        }
        return torch.full((1, 4), float(np.prod(GAINS)))

    monkeypatch.setattr(pipeline, "draw", draw)
    monkeypatch.setattr(pipeline, "band_gains", band_gains)


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

    matrix = np.eye(3)
    for transform in ORDER.values():
        matrix = transform @ matrix
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
