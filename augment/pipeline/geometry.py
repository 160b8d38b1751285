"""Laws of the geometric transforms (arXiv:2006.06676, appendix B).

Each `draw_` function draws one matrix per image of x [N, C, H, W], together [N, 3, 3]; with probability
1 - p it is the identity. `strength` multiplies the published width of the law. Matrices act on column vectors
(x, y, 1) of pixel coordinates whose origin is the image's centre, x to the right and y down, and take a point
of the input to its place in the output. `warp` applies them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.gate import gated_normal, gated_uniform

SCALE_STD, ROTATE_REACH, TRANSLATE_STD = 0.2, torch.pi, 0.125


def draw_scale(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Isotropic scaling by 2^N(0, 0.2^2)."""
    factor = torch.exp2(gated_normal(x, p) * (SCALE_STD * strength))
    return affine(x, factor, 0, 0, factor)


def draw_scale_anisotropic(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Scaling by s along x and 1/s along y, s = 2^N(0, 0.2^2)."""
    exponent = gated_normal(x, p) * (SCALE_STD * strength)
    return affine(x, torch.exp2(exponent), 0, 0, torch.exp2(-exponent))


def draw_rotate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Rotation by an angle uniform in [-pi, pi]."""
    angle = gated_uniform(x, p) * (ROTATE_REACH * strength)
    return affine(x, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def draw_translate(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Translation by a fraction N(0, 0.125^2) of the size, each axis on its own, both behind one gate."""
    height, width = x.shape[-2:]
    dx, dy = (gated_normal(x, p, 2) * (TRANSLATE_STD * strength)).unbind(1)
    return affine(x, 1, 0, 0, 1, dx * width, dy * height)


def affine(
    x: Tensor,
    xx: Tensor | float,
    xy: Tensor | float,
    yx: Tensor | float,
    yy: Tensor | float,
    dx: Tensor | float = 0,
    dy: Tensor | float = 0,
) -> Tensor:
    """Matrices [N, 3, 3] with rows (xx, xy, dx), (yx, yy, dy), (0, 0, 1); entries are numbers or [N]."""
    matrix = x.new_zeros(len(x), 3, 3)
    for row, entries in enumerate(((xx, xy, dx), (yx, yy, dy), (0, 0, 1))):
        for column, entry in enumerate(entries):
            matrix[:, row, column] = entry
    return matrix


def compose(*matrices: Tensor) -> Tensor:
    """The product of [N, K, K] matrices that act one after the other, the first one first.

    Written as a sum: a matrix product may run in reduced precision on a GPU (TF32), which coordinates of
    hundreds of pixels do not survive.
    """
    product, *rest = matrices
    for matrix in rest:
        product = (matrix[:, :, :, None] * product[:, None, :, :]).sum(2)
    return product


def inverse(matrix: Tensor) -> Tensor:
    """The inverse of affine matrices [N, 3, 3]; exact for quarter turns, flips and whole-pixel shifts."""
    a, b, dx = matrix[:, 0].unbind(1)
    c, d, dy = matrix[:, 1].unbind(1)
    det = a * d - b * c
    a, b, c, d = d / det, -b / det, -c / det, a / det
    return affine(matrix, a, b, c, d, -(a * dx + b * dy), -(c * dx + d * dy))
