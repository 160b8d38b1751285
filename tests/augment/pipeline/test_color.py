"""Colour transforms: laws of the parameters and what they do to luma and chroma."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from scipy import stats

from leangan.augment.pipeline import brightness, contrast, hue, saturation
from leangan.augment.pipeline.color import color, recolor
from leangan.augment.pipeline.laws import LAWS

DRAWS = tuple(lambda x, name=name, law=law: color(x, **{name: law(x)}) for name, law in LAWS["color"].items())
draw_luma_flip = DRAWS[2]


def luma(x: torch.Tensor) -> torch.Tensor:
    return x.mean(1)


def chroma(x: torch.Tensor) -> torch.Tensor:
    """Chroma as a complex number: r, g, b lie 120 degrees apart, a turn about luma is a factor."""
    r, g, b = x.unbind(1)
    return r + g * cmath.exp(2j * math.pi / 3) + b * cmath.exp(4j * math.pi / 3)


@pytest.fixture
def colors():
    torch.manual_seed(0)
    return torch.rand(100_000, 3, 2, 1, dtype=torch.float64) * 2 - 1


def test_brightness_adds_a_normal_shift(colors):
    shift = brightness(colors) - colors
    assert torch.allclose(shift, shift[:, :1, :1, :1].expand_as(shift))
    assert stats.kstest(shift[:, 0, 0, 0] / 0.2, "norm").pvalue > 1e-3


def test_contrast_multiplies_by_a_log_normal_factor(colors):
    factor = contrast(colors) / colors
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(factor))
    assert stats.kstest(factor[:, 0, 0, 0].log2() / 0.5, "norm").pvalue > 1e-3


def test_luma_flip_negates_luma_and_keeps_chroma(colors):
    matrix = draw_luma_flip(colors)
    out = recolor(colors, matrix)
    ratio = luma(out) / luma(colors)
    assert torch.allclose(chroma(out), chroma(colors))
    assert torch.allclose(ratio.abs(), torch.ones((), dtype=torch.float64))
    assert stats.binomtest(int((ratio[:, 0, 0] < 0).sum()), len(ratio), 0.5).pvalue > 1e-3
    assert torch.allclose(recolor(out, matrix), colors)


def test_hue_turns_chroma_and_keeps_luma(colors):
    out = hue(colors)
    turn = chroma(out) / chroma(colors)
    assert torch.allclose(luma(out), luma(colors))
    assert torch.allclose(turn.abs(), torch.ones((), dtype=torch.float64))
    assert torch.allclose(turn, turn[:, :1, :1].expand_as(turn))
    assert stats.kstest(turn[:, 0, 0].angle(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


def test_saturation_multiplies_chroma_and_keeps_luma(colors):
    out = saturation(colors)
    factor = chroma(out) / chroma(colors)
    assert torch.allclose(luma(out), luma(colors))
    assert torch.allclose(factor, factor[:, :1, :1].abs().expand_as(factor).to(factor))
    assert stats.kstest(factor[:, 0, 0].abs().log2(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("draw", DRAWS)
def test_every_colour_transform_can_be_undone(draw, colors):
    matrix = draw(colors)
    restored = recolor(recolor(colors, matrix), torch.linalg.inv(matrix))
    assert torch.allclose(restored, colors)


def test_all_transforms_in_one_matrix_are_one_after_the_other(colors):
    numbers = {name: law(colors) for name, law in LAWS["color"].items()}
    expected = colors
    for name, number in numbers.items():
        expected = recolor(expected, color(colors, **{name: number}))
    assert torch.allclose(recolor(colors, color(colors, **numbers)), expected)


def test_gray_images_get_the_luma_of_the_colour_transform():
    torch.manual_seed(2)
    gray = torch.rand(64, 1, 4, 4, dtype=torch.float64) * 2 - 1
    # The transforms keep gray gray; what does not shows that it is the mean that counts.
    for matrix in (
        color(gray, **{name: law(gray) for name, law in LAWS["color"].items()}),
        torch.rand(64, 4, 4).double(),
    ):
        expected = luma(recolor(gray.expand(-1, 3, -1, -1), matrix))
        assert torch.allclose(recolor(gray, matrix)[:, 0], expected)


def test_other_channel_counts_are_refused():
    x = torch.zeros(2, 4, 8, 8)
    with pytest.raises(ValueError, match="4 channels.*1 or 3"):
        recolor(x, torch.eye(4).repeat(2, 1, 1))
