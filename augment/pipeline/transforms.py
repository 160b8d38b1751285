"""The 18 transforms of ADA, each on its own (arXiv:2006.06676, sec. 2.2, appendix B).

Every function takes images [N, C, H, W] in [-1, 1] and changes each with probability `p`. `strength` multiplies
the published width of the parameter's law, its standard deviation or range; where the parameter is a coin, it
multiplies the coin's probability. 1 is published, 0 the identity. All are differentiable twice.

C is 1 or 3 for colour transforms, any number for the others. `p` is a number or a tensor, 0-dim or [N]. Images may have
any floating-point type; computed is in float32 at least. ValueError for anything but a floating-point batch.
"""

from __future__ import annotations

from torch import Tensor

from leangan.augment.pipeline.blit import draw_flip_x, draw_rotate90, draw_translate_whole
from leangan.augment.pipeline.color import (
    draw_brightness,
    draw_contrast,
    draw_hue,
    draw_luma_flip,
    draw_saturation,
    recolor,
)
from leangan.augment.pipeline.corruption import add_noise, cut_out, draw_hole, draw_noise_sigma
from leangan.augment.pipeline.filter import amplify, draw_band_gains
from leangan.augment.pipeline.geometry import draw_rotate, draw_scale, draw_scale_anisotropic, draw_translate
from leangan.augment.pipeline.precision import in_float32
from leangan.augment.pipeline.resample import copy_pixels, warp


@in_float32
def flip_x(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Mirrors left and right with probability 1/2."""
    return copy_pixels(x, draw_flip_x(x, p, strength))


@in_float32
def rotate90(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns by 0, 90, 180 or 270 degrees. ValueError unless height and width differ by an even number."""
    return copy_pixels(x, draw_rotate90(x, p, strength))


@in_float32
def translate_whole(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Shifts each axis by U(-1/8, 1/8) of the size, rounded to pixels."""
    return copy_pixels(x, draw_translate_whole(x, p, strength))


@in_float32
def scale(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Enlarges by 2^N(0, 0.2^2)."""
    return warp(x, draw_scale(x, p, strength))


@in_float32
def rotate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns by U(-pi, pi)."""
    return warp(x, draw_rotate(x, p, strength))


@in_float32
def scale_anisotropic(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Enlarges x by s and y by 1/s, s = 2^N(0, 0.2^2)."""
    return warp(x, draw_scale_anisotropic(x, p, strength))


@in_float32
def translate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Shifts each axis by N(0, (1/8)^2) of the size."""
    return warp(x, draw_translate(x, p, strength))


@in_float32
def brightness(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Adds N(0, 0.2^2)."""
    return recolor(x, draw_brightness(x, p, strength))


@in_float32
def contrast(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies by 2^N(0, 0.5^2)."""
    return recolor(x, draw_contrast(x, p, strength))


@in_float32
def luma_flip(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Negates luma and keeps chroma with probability 1/2."""
    return recolor(x, draw_luma_flip(x, p, strength))


@in_float32
def hue(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns colours about the luma axis by U(-pi, pi)."""
    return recolor(x, draw_hue(x, p, strength))


@in_float32
def saturation(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies chroma by 2^N(0, 1)."""
    return recolor(x, draw_saturation(x, p, strength))


@in_float32
def band_1(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Amplifies frequencies up to pi/8 by 2^N(0, 1) at preserved expected power; pi is one period in two pixels."""
    return amplify(x, draw_band_gains(x, 0, p, strength))


@in_float32
def band_2(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/8 to pi/4."""
    return amplify(x, draw_band_gains(x, 1, p, strength))


@in_float32
def band_3(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/4 to pi/2."""
    return amplify(x, draw_band_gains(x, 2, p, strength))


@in_float32
def band_4(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Like `band_1`, for frequencies from pi/2 to pi."""
    return amplify(x, draw_band_gains(x, 3, p, strength))


@in_float32
def noise(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Adds white Gaussian noise whose sigma is |N(0, 0.1^2)|, drawn per image."""
    return add_noise(x, draw_noise_sigma(x, p, strength))


@in_float32
def cutout(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Sets a square of half the image's side to zero; its centre is uniform over the image."""
    return cut_out(x, draw_hole(x, p, strength))


TRANSFORMS = (
    flip_x, rotate90, translate_whole,
    scale, rotate, scale_anisotropic, translate,
    brightness, contrast, luma_flip, hue, saturation,
    band_1, band_2, band_3, band_4,
    noise, cutout,
)  # fmt: skip
"""All of them, in the order in which the pipeline applies them."""
