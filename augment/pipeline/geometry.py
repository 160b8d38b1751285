"""Matrices of the geometric transforms (arXiv:2006.06676, appendix B).

There is one per image, together [N, 3, 3]. They act on column vectors (x, y, 1) of pixel coordinates whose origin is
the image's centre, x to the right and y down, and take a point of the input to its place in the output. `warp`
applies them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.laws import or_at_rest
from leangan.core.constants import constant


def geometry(
    x: Tensor,
    scale: Tensor | None = None,
    rotate: Tensor | None = None,
    scale_anisotropic: Tensor | None = None,
    rotate_again: Tensor | None = None,
    translate: Tensor | None = None,
) -> Tensor:
    """Matrices [N, 3, 3] of all these transforms, one after the other.

    The numbers are those of `augment.pipeline.laws`, [N, 1] and [N, 2]; what is left out is at rest. For these a
    scaling is by 2^scale, or 2^s along x and 2^-s along y.
    """
    scale, rotate, stretch, rotate_again, translate = or_at_rest(
        x, scale, rotate, scale_anisotropic, rotate_again, translate
    )
    angles = torch.cat([rotate, rotate_again], 1)
    cos, sin = angles.cos(), angles.sin()
    before, after = torch.stack([cos, -sin, sin, cos], 2).unflatten(2, (2, 2)).unbind(1)
    # Scaling by the same factor along both axes may as well follow the first rotation.
    factors = torch.exp2(torch.cat([scale + stretch, scale - stretch], 1))
    linear = compose(factors[:, :, None] * before, after)
    return affine(x, *linear.flatten(1).unbind(1), *(translate * size_of(x)).unbind(1))


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
    entries = (xx, xy, dx, yx, yy, dy)
    columns = [each if isinstance(each, Tensor) else x.new_full((len(x),), each) for each in entries]
    rows = torch.stack(columns, 1).view(-1, 2, 3)
    return torch.cat([rows, _last_row(rows.dtype, rows.device).expand(len(x), -1, -1)], 1)


def compose(*matrices: Tensor) -> Tensor:
    """The product of [N, K, K] matrices that act one after the other, the first one first.

    Written as a sum: a matrix product may run in reduced precision on a GPU (TF32), which coordinates of
    hundreds of pixels do not survive.
    """
    product, *rest = matrices
    for matrix in rest:
        product = (matrix[:, :, :, None] * product[:, None, :, :]).sum(2)
    return product


def size_of(x: Tensor) -> Tensor:
    """Width and height of images x as numbers of their type, [2]."""
    return _size(*x.shape[-2:], x.dtype, x.device)


@constant
def _size(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([width, height], dtype=dtype, device=device)


@constant
def _last_row(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([[[0, 0, 1]]], dtype=dtype, device=device)
