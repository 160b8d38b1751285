"""The 18 transforms of ADA, each on its own (arXiv:2006.06676, sec. 2.2, appendix B).

Every function takes images [N, C, H, W] in [-1, 1] and changes each with probability `p`. `strength` multiplies
the published width of the parameter's law, its standard deviation or range; where the parameter is a coin, it
multiplies the coin's probability. 1 is published, 0 the identity. All are differentiable twice.

C is 1 or 3 for colour transforms, any number for the others. `p` is a number or a tensor, 0-dim or [N]. Images may have
any floating-point type; computed is in float32 at least. ValueError for anything but a floating-point batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.blit import blit
from leangan.augment.pipeline.color import color, recolor
from leangan.augment.pipeline.corruption import SIDE, add_noise, cut_out, hole_at
from leangan.augment.pipeline.filter import amplify, band_gains
from leangan.augment.pipeline.geometry import geometry
from leangan.augment.pipeline.laws import (
    BAND,
    BRIGHTNESS,
    CONTRAST,
    CUTOUT,
    FLIP_X,
    HUE,
    LUMA_FLIP,
    NOISE,
    ROTATE,
    ROTATE90,
    SATURATION,
    SCALE,
    SCALE_ANISOTROPIC,
    TRANSLATE,
    TRANSLATE_WHOLE,
)
from leangan.augment.pipeline.precision import in_float32
from leangan.augment.pipeline.resample import copy_pixels, warp


@in_float32
def flip_x(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Mirrors left and right with probability 1/2."""
    return copy_pixels(x, blit(x, flip_x=FLIP_X(x, _part(p, strength))))


@in_float32
def rotate90(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns by 0, 90, 180 or 270 degrees. ValueError unless height and width differ by an even number."""
    return copy_pixels(x, blit(x, rotate90=ROTATE90(x, _part(p, strength))))


@in_float32
def translate_whole(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Shifts each axis by U(-1/8, 1/8) of the size, rounded to pixels."""
    return copy_pixels(x, blit(x, translate_whole=strength * TRANSLATE_WHOLE(x, p)))


@in_float32
def scale(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Enlarges by 2^N(0, 0.2^2)."""
    return warp(x, geometry(x, scale=strength * SCALE(x, p)))


@in_float32
def rotate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns by U(-pi, pi)."""
    return warp(x, geometry(x, rotate=strength * ROTATE(x, p)))


@in_float32
def scale_anisotropic(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Enlarges x by s and y by 1/s, s = 2^N(0, 0.2^2)."""
    return warp(x, geometry(x, scale_anisotropic=strength * SCALE_ANISOTROPIC(x, p)))


@in_float32
def translate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Shifts each axis by N(0, (1/8)^2) of the size."""
    return warp(x, geometry(x, translate=strength * TRANSLATE(x, p)))


@in_float32
def brightness(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Adds N(0, 0.2^2)."""
    return recolor(x, color(x, brightness=strength * BRIGHTNESS(x, p)))


@in_float32
def contrast(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies by 2^N(0, 0.5^2)."""
    return recolor(x, color(x, contrast=strength * CONTRAST(x, p)))


@in_float32
def luma_flip(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Negates luma and keeps chroma with probability 1/2."""
    return recolor(x, color(x, luma_flip=LUMA_FLIP(x, _part(p, strength))))


@in_float32
def hue(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns colours about the luma axis by U(-pi, pi)."""
    return recolor(x, color(x, hue=strength * HUE(x, p)))


@in_float32
def saturation(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies chroma by 2^N(0, 1)."""
    return recolor(x, color(x, saturation=strength * SATURATION(x, p)))


@in_float32
def band_1(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Amplifies frequencies up to pi/8 by 2^N(0, 1) at preserved expected power; pi is one period in two pixels."""
    return amplify(x, band_gains(x, band_1=strength * BAND(x, p)))


@in_float32
def band_2(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/8 to pi/4."""
    return amplify(x, band_gains(x, band_2=strength * BAND(x, p)))


@in_float32
def band_3(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/4 to pi/2."""
    return amplify(x, band_gains(x, band_3=strength * BAND(x, p)))


@in_float32
def band_4(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/2 to pi."""
    return amplify(x, band_gains(x, band_4=strength * BAND(x, p)))


@in_float32
def noise(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Adds white Gaussian noise whose sigma is |N(0, 0.1^2)|, drawn per image."""
    return add_noise(x, strength * NOISE(x, p)[:, 0].abs())


@in_float32
def cutout(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Sets a square of half the image's side to zero; its centre is uniform over the image."""
    return cut_out(x, hole_at(x, CUTOUT(x, p), strength * SIDE))


TRANSFORMS = (
    flip_x, rotate90, translate_whole,
    scale, rotate, scale_anisotropic, translate,
    brightness, contrast, luma_flip, hue, saturation,
    band_1, band_2, band_3, band_4,
    noise, cutout,
)  # fmt: skip
"""All of them, in the order in which the pipeline applies them."""


def _part(p: Tensor | float, strength: float) -> Tensor:
    """The probability of a coin at this strength."""
    return torch.as_tensor(p).clamp(0, 1) * strength
