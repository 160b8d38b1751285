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

from leangan.augment.pipeline.band import separable
from leangan.augment.pipeline.geometry import affine, compose, inverse
from leangan.augment.pipeline.wavelet import CENTRE, HALO, doubling, end_doubled, first_doubled, halving, reflect
from leangan.core.linear_map import Map, linear

Window = tuple[int, int, int, int]
"""A part of the doubled image: left, right, top, bottom, ends excluded."""

CPU_CHUNK = 2**15
"""Pixels resampled at a time on a CPU: their doubled images stay in the cache, and an image that needs a
wide margin does not impose it on many others."""

GPU_CHUNK = 2**20
"""Pixels resampled at a time on a GPU: 16 images at 256 pixels. It bounds the memory of the doubled images,
64 bytes per pixel and channel."""


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
    parts = zip(x.split(chunk), source.split(chunk), strict=True)
    return torch.where(exact, _copy(x, source), torch.cat([resample(*part) for part in parts]))


def _copy(x: Tensor, source: Tensor) -> Tensor:
    """Images whose pixel at (column, row) is that of x at source @ (column, row, 1), a whole position."""
    channels, height, width = x.shape[1:]
    column = torch.arange(width, dtype=x.dtype, device=x.device)[None, None, :]
    row = torch.arange(height, dtype=x.dtype, device=x.device)[None, :, None]
    (xx, xy, x0), (yx, yy, y0) = (line[:, :, None, None].unbind(1) for line in source[:, :2].unbind(1))
    index_x = reflect((xx * column + xy * row + x0).long(), width)
    index_y = reflect((yx * column + yy * row + y0).long(), height)
    index = (index_y * width + index_x).flatten(1)[:, None].expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


def resample(x: Tensor, source: Tensor, window: Window | None = None) -> Tensor:
    """Images whose point (column, row) shows x at source @ (column, row, 1), any position.

    `window` encloses the doubled samples that are read; without it one whole period is made.
    """
    return linear(x, *_resampling(x, source, window))


def _resampling(x: Tensor, source: Tensor, window: Window | None) -> tuple[Map, Map]:
    """The map of `resample` and its adjoint for images like x."""
    height, width = x.shape[2:]
    left, right, top, bottom = window or (*_period(width), *_period(height))
    up_x = doubling(width, x.dtype, x.device)[left - first_doubled(width) : right - first_doubled(width)]
    up_y = doubling(height, x.dtype, x.device)[top - first_doubled(height) : bottom - first_doubled(height)]
    down_x, down_y = halving(width, x.dtype, x.device), halving(height, x.dtype, x.device)

    # Sample u shows the point (u - CENTRE) / 2, hence in doubled samples A (u - CENTRE) + 2 t + CENTRE.
    u = torch.arange(-HALO, 2 * width + HALO, dtype=x.dtype, device=x.device)[None, None, :] - CENTRE
    v = torch.arange(-HALO, 2 * height + HALO, dtype=x.dtype, device=x.device)[None, :, None] - CENTRE
    (xx, xy, x0), (yx, yy, y0) = (line[:, :, None, None].unbind(1) for line in source[:, :2].unbind(1))
    read_x = xx * u + (xy * v + (2 * x0 + CENTRE - left))
    read_y = yx * u + (yy * v + (2 * y0 + CENTRE - top))
    weight = None
    if not window:
        read_x, weight_x = _into_period(read_x, width)
        read_y, weight_y = _into_period(read_y, height)
        weight = (weight_x * weight_y)[:, None]
    grid = torch.stack([(2 * read_x + 1) / (right - left) - 1, (2 * read_y + 1) / (bottom - top) - 1], -1)

    def forward(x: Tensor) -> Tensor:
        doubled = separable(up_y, x, up_x)
        warped = F.grid_sample(doubled, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return separable(down_y, warped if weight is None else warped * weight, down_x)

    def adjoint(y: Tensor) -> Tensor:
        warped = separable(down_y.T, y, down_x.T)
        warped = warped if weight is None else warped * weight
        # Bilinear, zeros outside, align_corners=False; the images' gradient only, which needs a shape only.
        like = warped.new_zeros(()).expand(*y.shape[:2], bottom - top, right - left)
        options = 0, 0, False, [True, False]
        doubled, _ = torch.ops.aten.grid_sampler_2d_backward(warped, like, grid, *options)
        return separable(up_y.T, doubled, up_x.T)

    return forward, adjoint


def _period(size: int) -> tuple[int, int]:
    """First and end of the doubled samples of one period, the sample with which the next begins included."""
    return first_doubled(size), first_doubled(size) + 4 * (size - 1) + 1


def _into_period(read: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions in one period that show what `read` shows, and weights that fall to zero where the padding ends.

    Both count from `first_doubled`. Bilinear reading leaves the last sample of the padding over one sample's
    width; beyond, all is zero.
    """
    inside = read.clamp(0, end_doubled(size) - first_doubled(size) - 1)
    weight = (1 - (read - inside).abs()).clamp(min=0)
    period = 4 * (size - 1)
    return torch.where(inside >= period, inside - period, inside), weight


def _takes_pixels_to_pixels(source: Tensor) -> Tensor:
    """Whether each matrix [N, 3, 3] is a whole shift after a flip or quarter turn, bool [N]."""
    whole = (source == source.round()).all((1, 2))
    size = source[:, :2, :2].abs()
    return whole & (size.sum(1) == 1).all(1) & (size.sum(2) == 1).all(1)


def source_of(x: Tensor, matrix: Tensor) -> Tensor:
    """Matrices [N, 3, 3] from an output pixel's (column, row) to the position in the input."""
    height, width = x.shape[2:]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return compose(affine(x, 1, 0, 0, 1, -cx, -cy), inverse(matrix.to(x)), affine(x, 1, 0, 0, 1, cx, cy))


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
