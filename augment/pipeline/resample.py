"""Carrying out geometric transforms (arXiv:2006.06676, appendix B): one warp for the product of all matrices.

Where the matrix takes pixels to pixels, they are copied. Any other image is continued by reflection,
up-sampled x2 with sym6, read bilinearly at the transformed positions of a doubled grid and down-sampled
with sym6. sym6 is not symmetric, so that resampling would alter an image that is only flipped or
turned by 90 degrees; copying keeps whole translations, flips and quarter turns exact and costs less.

Both ways are linear in the image. Resampling is differentiated as the linear map it is (leangan/core/linear_map.py).

On a CPU the matrices decide, image by image, which way is taken and which part of the doubled image is made.
On a GPU they would have to be read back, which stalls it and cannot be captured in a graph. There every image
takes both ways, and of the doubled image one whole period is made: the axis of an image continued by
reflection repeats itself after 2 * (size - 1) pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.augment.pipeline.band import Product, separable, without_zeros
from leangan.augment.pipeline.wavelet import (
    CENTRE,
    HALO,
    doubling,
    end_doubled,
    first_doubled,
    fold,
    halving,
    one_period,
    period_of,
)
from leangan.core.constants import constant
from leangan.core.linear_map import Map, linear

Window = tuple[int, int, int, int]
"""A part of the doubled image: left, right, top, bottom, ends excluded."""

CPU_CHUNK = 2**15
"""Pixels resampled at a time on a CPU: their doubled images stay in the cache, and an image that needs a
wide margin does not impose it on many others."""

GPU_CHUNK = 2**20
"""Pixels resampled at a time on a GPU: 16 images at 256 pixels. It bounds the memory of the doubled images,
64 bytes per pixel and channel, and about as much for the columns gathered by `band.Blocks`."""


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Transforms images x [N, C, H, W] by matrices [N, 3, 3], see `augment.pipeline.geometry`.

    Outside the image lies its reflection, without repeated border, up to size - 1 pixels away; zeros beyond.
    """
    source = source_of(x, matrix)
    return warp_by_need(x, source) if x.device.type == "cpu" else warp_unread(x, source)


def copy_pixels(x: Tensor, matrix: Tensor) -> Tensor:
    """`warp` by matrices that are known to take pixels to pixels: flips, quarter turns, whole translations."""
    return _copy(x, source_of(x, matrix))


def warp_by_need(x: Tensor, source: Tensor) -> Tensor:
    """`warp` that reads its plan from the matrices: who is copied, and what the others need."""
    height, width = x.shape[2:]
    plan = torch.cat([_windows(source, height, width), _takes_pixels_to_pixels(source)[:, None]], 1).tolist()
    copied = [i for i, (*_, exact) in enumerate(plan) if exact]
    resampled = [i for i, (*_, exact) in enumerate(plan) if not exact]
    if not resampled:
        return _copy(x, source)
    if not copied:
        return _resample_by_need(x, source, plan)
    rows = torch.tensor(copied), torch.tensor(resampled)
    images = [
        _copy(x.index_select(0, rows[0]), source[rows[0]]),
        _resample_by_need(x.index_select(0, rows[1]), source[rows[1]], [plan[i] for i in resampled]),
    ]
    return torch.cat(images).index_select(0, torch.cat(rows).argsort())


def _resample_by_need(x: Tensor, source: Tensor, plan: list[list[int]]) -> Tensor:
    """Resamples a few images at a time, each time in the window that encloses theirs."""
    chunk = max(1, CPU_CHUNK // x[0, 0].numel())
    images = []
    for start in range(0, len(x), chunk):
        part = slice(start, start + chunk)
        lefts, rights, tops, bottoms, _ = zip(*plan[part], strict=True)
        window = min(lefts), max(rights), min(tops), max(bottoms)
        images.append(resample(x[part], source[part], window))
    return torch.cat(images) if len(images) > 1 else images[0]


def warp_unread(x: Tensor, source: Tensor) -> Tensor:
    """`warp` that reads nothing back: every image both ways."""
    exact = _takes_pixels_to_pixels(source)[:, None, None, None]
    chunk = max(1, GPU_CHUNK // x[0, 0].numel())
    images = [resample(*part) for part in zip(x.split(chunk), source.split(chunk), strict=True)]
    return torch.where(exact, _copy(x, source), torch.cat(images) if len(images) > 1 else images[0])


def _copy(x: Tensor, source: Tensor) -> Tensor:
    """Images whose pixel at (column, row) is that of x at source @ (column, row, 1), a whole position."""
    channels, height, width = x.shape[1:]
    columns, rows, periods = _pixels(height, width, x.dtype, x.device)
    index_x, index_y = fold(_positions(source, columns, rows).long(), periods).unbind(1)
    index = torch.add(index_x, index_y, alpha=width).flatten(1)[:, None].expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


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


def resample(x: Tensor, source: Tensor, window: Window | None = None) -> Tensor:
    """Images whose point (column, row) shows x at source @ (column, row, 1), any position.

    `window` encloses the doubled samples that are read; without it one whole period is made.
    """
    return linear(x, *_resampling(x, source, window))


def _resampling(x: Tensor, source: Tensor, window: Window | None) -> tuple[Map, Map]:
    """The map of `resample` and its adjoint for images like x."""
    height, width = x.shape[2:]
    kind = x.dtype, x.device
    left, right, top, bottom = window or (*one_period(width), *one_period(height))
    if window:
        (up_y, down_y), (up_x, down_x) = _products(height, (top, bottom), *kind), _products(width, (left, right), *kind)
        grid, weight = _in_window(source, height, width, window), None
    else:
        (up_y, down_y), (up_x, down_x) = _period_products(height, *kind), _period_products(width, *kind)
        grid, weight = _in_period(source, height, width)

    def weighted(warped: Tensor) -> Tensor:
        return warped if weight is None else warped * weight

    def forward(x: Tensor) -> Tensor:
        doubled = separable(up_y.matrix, x, up_x.matrix)
        warped = F.grid_sample(doubled, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return separable(down_y.matrix, weighted(warped), down_x.matrix)

    def adjoint(y: Tensor) -> Tensor:
        warped = weighted(separable(down_y.transposed, y, down_x.transposed))
        # Bilinear, zeros outside, align_corners=False; the images' gradient only, which needs a shape only.
        like = warped.new_zeros(()).expand(*y.shape[:2], bottom - top, right - left)
        options = 0, 0, False, [True, False]
        doubled, _ = torch.ops.aten.grid_sampler_2d_backward(warped, like, grid, *options)
        return separable(up_y.transposed, doubled, up_x.transposed)

    return forward, adjoint


def _products(size: int, window: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Product, Product]:
    """Doubling an axis to the samples in a window, and halving it."""
    first, end = window
    start = first_doubled(size)
    up, down = doubling(size, dtype, device)[first - start : end - start], halving(size, dtype, device)
    return Product(up, up.T), Product(down, down.T)


@constant
def _period_products(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Product, Product]:
    """Doubling an axis to one whole period, and halving it."""
    up, down = _products(size, one_period(size), dtype, torch.device("cpu"))
    return without_zeros(up, device), without_zeros(down, device)


# A point of the doubled grid is read at A (u - CENTRE) + 2 t + CENTRE, in doubled samples, since sample u shows the
# point (u - CENTRE) / 2 of the image.


@constant
def _doubled_grid(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """u - CENTRE for the columns [W'] and rows [H', 1] of the doubled output."""
    columns, rows = (torch.arange(-HALO, 2 * size + HALO, dtype=dtype) - CENTRE for size in (width, height))
    return columns.to(device), rows[:, None].to(device)


def _in_window(source: Tensor, height: int, width: int, window: Window) -> Tensor:
    """Where the doubled output grid is read, as `grid_sample` counts in the window."""
    left, right, top, bottom = window
    factor, offset = [], []
    for first, end in ((left, right), (top, bottom)):
        scale = 2 / (end - first)
        factor.append((scale, scale, 2 * scale))
        offset.append((0.0, 0.0, (CENTRE - first + 0.5) * scale - 1))
    source = torch.addcmul(source.new_tensor(offset), source, source.new_tensor(factor))
    return _positions(source, *_doubled_grid(height, width, source.dtype, source.device)).permute(0, 2, 3, 1)


def _in_period(source: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
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


def _takes_pixels_to_pixels(source: Tensor) -> Tensor:
    """Whether each matrix [N, 2, 3], which can be inverted, is a whole shift after a flip or quarter turn, bool [N].

    Of whole numbers whose squares add up to 2, two are 1 or -1, and none of their rows is zero.
    """
    whole = (source == source.round()).all((1, 2))
    return whole & (source[:, :, :2].square().sum((1, 2)) == 2)


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


def _windows(source: Tensor, height: int, width: int) -> Tensor:
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
