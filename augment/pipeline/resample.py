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

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.augment.pipeline.band import Product, product_of, separable
from leangan.augment.pipeline.places import (
    Window,
    in_period,
    in_window,
    pixels_read,
    source_of,
    takes_pixels_to_pixels,
    windows_of,
)
from leangan.augment.pipeline.wavelet import doubling, first_doubled, halving, one_period
from leangan.core.constants import constant
from leangan.core.linear_map import Map, linear

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
    plan = torch.cat([windows_of(source, height, width), takes_pixels_to_pixels(source)[:, None]], 1).tolist()
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
    exact = takes_pixels_to_pixels(source)[:, None, None, None]
    chunk = max(1, GPU_CHUNK // x[0, 0].numel())
    images = [resample(*part) for part in zip(x.split(chunk), source.split(chunk), strict=True)]
    return torch.where(exact, _copy(x, source), torch.cat(images) if len(images) > 1 else images[0])


def _copy(x: Tensor, source: Tensor) -> Tensor:
    """Images whose pixel at (column, row) is that of x at source @ (column, row, 1), a whole position."""
    channels, height, width = x.shape[1:]
    index = pixels_read(source, height, width).flatten(1)[:, None].expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


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
        up_y, down_y = _window_products(height, (top, bottom), *kind)
        up_x, down_x = _window_products(width, (left, right), *kind)
        grid, weight = in_window(source, height, width, window), None
    else:
        (up_y, down_y), (up_x, down_x) = _period_products(height, *kind), _period_products(width, *kind)
        grid, weight = in_period(source, height, width)

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


def _matrices(size: int, window: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Doubling an axis to the samples in a window, and halving it."""
    first, end = window
    start = first_doubled(size)
    return doubling(size, dtype, device)[first - start : end - start], halving(size, dtype, device)


def _window_products(size: int, window: tuple[int, int], dtype: torch.dtype, device: torch.device) -> list[Product]:
    return [Product(matrix, matrix.T) for matrix in _matrices(size, window, dtype, device)]


@constant
def _period_products(size: int, dtype: torch.dtype, device: torch.device) -> list[Product]:
    matrices = _matrices(size, one_period(size), dtype, torch.device("cpu"))
    return [product_of(matrix, device) for matrix in matrices]
