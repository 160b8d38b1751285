"""Where each pixel of a warped image is read, for the warp of `augment.pipeline.resample`.

A source is the inverse of a matrix: it takes an output pixel to a position in the input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from leangan.augment.pipeline.wavelet import CENTRE, HALO, end_doubled, first_doubled, fold, one_period, period_of
from leangan.core.constants import constant

Window = tuple[int, int, int, int]
"""A part of the doubled image: left, right, top, bottom, ends excluded."""


def source_of(x: Tensor, matrix: Tensor) -> Tensor:
    """Matrices [N, 2, 3] from an output pixel's (column, row, 1) to the position in the input.

    They are the inverse of `matrix` [N, 3, 3], exact for quarter turns, flips and whole-pixel shifts.
    """
    centre, signs = _centre(*x.shape[2:], x.dtype, x.device)
    linear, shift = matrix.to(x)[:, :2].tensor_split([2], 2)
    adjugate = linear.flip(1, 2).mT * signs
    determinant = (linear[:, 0] * adjugate[:, :, 0]).sum(1)
    inverse = adjugate / determinant[:, None, None]
    start = centre - (inverse * (shift + centre).mT).sum(2, keepdim=True)
    return torch.cat([inverse, start], 2)


@constant
def _centre(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The centre's column and row, [2, 1], and the signs of the adjugate of a matrix, [2, 2]."""
    centre = torch.tensor([[(width - 1) / 2], [(height - 1) / 2]], dtype=dtype, device=device)
    return centre, torch.tensor([[1, -1], [-1, 1]], dtype=dtype, device=device)


def takes_pixels_to_pixels(source: Tensor) -> Tensor:
    """Whether each matrix [N, 2, 3], which can be inverted, is a whole shift after a flip or quarter turn, bool [N].

    Of whole numbers whose squares add up to 2, two are 1 or -1, and none of their rows is zero.
    """
    whole = (source == source.round()).all((1, 2))
    return whole & (source[:, :, :2].square().sum((1, 2)) == 2)


def pixels_read(source: Tensor, height: int, width: int) -> Tensor:
    """Which pixel of an image, row by row, each pixel shows for sources with whole positions; int64 [N, H, W]."""
    columns, rows, periods = _pixels(height, width, source.dtype, source.device)
    index_x, index_y = fold(_positions(source, columns, rows).long(), periods).unbind(1)
    return torch.add(index_x, index_y, alpha=width)


@constant
def _pixels(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Columns [W] and rows [H, 1] of an image, and the periods of its two axes, [2, 1, 1]."""
    periods = torch.tensor([period_of(width), period_of(height)], device=device)[:, None, None]
    columns, rows = (torch.arange(size, dtype=dtype).to(device) for size in (width, height))
    return columns, rows[:, None], periods


def _positions(source: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """source @ (column, row, 1) for matrices [N, 2, 3], columns [W] and rows [H, 1]: x and y, [N, 2, H, W]."""
    xy = torch.addcmul(source[:, :, 2:, None], source[:, :, 1:2, None], rows)
    return torch.addcmul(xy, source[:, :, :1, None], columns)


# A point of the doubled grid is read at A (u - CENTRE) + 2 t + CENTRE, in doubled samples, since sample u shows the
# point (u - CENTRE) / 2 of the image.


@constant
def _doubled_grid(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """u - CENTRE for the columns [W'] and rows [H', 1] of the doubled output."""
    columns, rows = (torch.arange(-HALO, 2 * size + HALO, dtype=dtype) - CENTRE for size in (width, height))
    return columns.to(device), rows[:, None].to(device)


def in_window(source: Tensor, height: int, width: int, window: Window) -> Tensor:
    """Where the doubled output grid is read, as `grid_sample` counts in the window."""
    left, right, top, bottom = window
    factor, offset = [], []
    for first, end in ((left, right), (top, bottom)):
        scale = 2 / (end - first)
        factor.append((scale, scale, 2 * scale))
        offset.append((0.0, 0.0, (CENTRE - first + 0.5) * scale - 1))
    source = torch.addcmul(source.new_tensor(offset), source, source.new_tensor(factor))
    return _positions(source, *_doubled_grid(height, width, source.dtype, source.device)).permute(0, 2, 3, 1)


def in_period(source: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the doubled output grid is read, as `grid_sample` counts in one period, and weights [N, 1, H', W'].

    The weights fall to zero where the reflect padding ends. Bilinear reading leaves the last sample of the padding
    over one sample's width; beyond, all is zero.
    """
    period = _period(height, width, source.dtype, source.device)
    source = torch.addcmul(period.offset, source, period.factor)
    read = _positions(source, *_doubled_grid(height, width, source.dtype, source.device))
    inside = read.clamp(period.first, period.last)
    weight = (1 - (read - inside).abs()).clamp(min=0).prod(1, keepdim=True)
    return torch.addcmul(period.shift, inside % period.length, period.scale).permute(0, 2, 3, 1), weight


class _Period(NamedTuple):
    """What reading in one period needs to know of both axes.

    `offset` [2, 3] and `factor` [3] make doubled samples, counted from the first, of a source matrix. Of all others,
    [2, 1, 1]: `first` and `last` are the ends of the padding, `length` is that of the period, and `scale` and `shift`
    take a sample to where `grid_sample` sees it.
    """

    offset: Tensor
    factor: Tensor
    first: Tensor
    last: Tensor
    length: Tensor
    scale: Tensor
    shift: Tensor


@constant
def _period(height: int, width: int, dtype: torch.dtype, device: torch.device) -> _Period:
    sizes = width, height

    def both(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)[:, None, None]

    made = [end - first for first, end in map(one_period, sizes)]
    return _Period(
        offset=torch.tensor([[0, 0, CENTRE - first_doubled(size)] for size in sizes], dtype=dtype, device=device),
        factor=torch.tensor([1, 1, 2], dtype=dtype, device=device),
        first=both([0, 0]),
        last=both([end_doubled(size) - first_doubled(size) - 1 for size in sizes]),
        length=both([2 * period_of(size) for size in sizes]),
        scale=both([2 / samples for samples in made]),
        shift=both([1 / samples - 1 for samples in made]),
    )


def windows_of(source: Tensor, height: int, width: int) -> Tensor:
    """Doubled samples from which each image is read: left, right, top, bottom (ends excluded), int64 [N, 4].

    They bound the image of the doubled output grid, a parallelogram, and end with the reflect padding.
    """
    mid = source.new_tensor([width - 0.5, height - 0.5]) - CENTRE
    half = source.new_tensor([width + HALO - 0.5, height + HALO - 0.5])
    matrix, shift = source[:, :2, :2], source[:, :2, 2]
    centre = (matrix * mid).sum(2) + 2 * shift + CENTRE
    reach = (matrix.abs() * half).sum(2)
    low, high = (centre - reach).floor().long(), (centre + reach).floor().long() + 2
    bounds = []
    for axis, size in enumerate((width, height)):
        first, end = first_doubled(size), end_doubled(size)
        bounds += [low[:, axis].clamp(first, end - 1), high[:, axis].clamp(first + 1, end)]
    return torch.stack(bounds, 1)
