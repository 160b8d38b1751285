"""Carrying out geometric transforms (arXiv:2006.06676, appendix B): one warp for the product of all matrices.

Where the matrix takes pixels to pixels, they are copied. Any other image is continued by reflection,
up-sampled x2 with sym6, read bilinearly at the transformed positions of a doubled grid and down-sampled
with sym6. sym6 is not symmetric, so that resampling would alter an image that is only flipped or
turned by 90 degrees; copying keeps whole translations, flips and quarter turns exact and costs less.

Both ways are linear in the image. Resampling is differentiated as the linear map it is: its derivative is
the adjoint, whose derivative is the map again, to any order and without stored intermediates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from augment.pipeline.band import separable
from augment.pipeline.geometry import affine, compose, inverse
from augment.pipeline.wavelet import CENTRE, HALO, doubling, first_doubled, halving, reflect

LinearMap = Callable[[Tensor], Tensor]

CPU_CHUNK = 2**15
"""Pixels resampled at a time on a CPU: their doubled images stay in the cache, and an image that needs a
wide margin does not impose it on many others."""


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Transforms images x [N, C, H, W] by matrices [N, 3, 3], see `augment.pipeline.geometry`.

    Outside the image lies its reflection, without repeated border, up to size - 1 pixels away; zeros beyond.
    On a GPU the margins are read back once per call.
    """
    height, width = x.shape[2:]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    # From an output pixel's (column, row) to the position in the input.
    source = compose(affine(x, 1, 0, 0, 1, -cx, -cy), inverse(matrix.to(x)), affine(x, 1, 0, 0, 1, cx, cy))
    plan = torch.cat([_windows(source, height, width), _takes_pixels_to_pixels(source)[:, None]], 1).tolist()
    copied = [i for i, (*_, exact) in enumerate(plan) if exact]
    resampled = [i for i, (*_, exact) in enumerate(plan) if not exact]
    windows = [plan[i][:4] for i in resampled]
    if not resampled:
        return copy_pixels(x, source)
    if not copied:
        return resample(x, source, windows)
    rows = torch.tensor(copied, device=x.device), torch.tensor(resampled, device=x.device)
    images = torch.cat(
        [
            copy_pixels(x.index_select(0, rows[0]), source[rows[0]]),
            resample(x.index_select(0, rows[1]), source[rows[1]], windows),
        ]
    )
    return images.index_select(0, torch.cat(rows).argsort())


def copy_pixels(x: Tensor, source: Tensor) -> Tensor:
    """Images whose pixel at (column, row) is that of x at source @ (column, row, 1), a whole position."""
    n, channels, height, width = x.shape
    column = torch.arange(width, dtype=x.dtype, device=x.device)[None, None, :]
    row = torch.arange(height, dtype=x.dtype, device=x.device)[None, :, None]
    (xx, xy, x0), (yx, yy, y0) = (line[:, :, None, None].unbind(1) for line in source[:, :2].unbind(1))
    index_x = reflect((xx * column + xy * row + x0).long(), width)
    index_y = reflect((yx * column + yy * row + y0).long(), height)
    index = (index_y * width + index_x).view(n, 1, -1).expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


def resample(x: Tensor, source: Tensor, windows: list[list[int]]) -> Tensor:
    """Images whose point (column, row) shows x at source @ (column, row, 1), any position.

    `windows` names for each image the doubled samples that are read: left, right, top, bottom.
    """
    chunk = max(1, CPU_CHUNK // x[0, 0].numel()) if x.device.type == "cpu" else len(x)
    images = []
    for start in range(0, len(x), chunk):
        part = slice(start, start + chunk)
        images.append(_Linear.apply(x[part], *_resampling(x[part], source[part], windows[part])))
    return torch.cat(images) if len(images) > 1 else images[0]


def _resampling(x: Tensor, source: Tensor, windows: list[list[int]]) -> tuple[LinearMap, LinearMap]:
    """The map of `resample` and its adjoint for images like x, all read in one common window."""
    height, width = x.shape[2:]
    lefts, rights, tops, bottoms = zip(*windows, strict=True)
    left, right, top, bottom = min(lefts), max(rights), min(tops), max(bottoms)
    up_x = doubling(width, x.dtype, x.device)[left - first_doubled(width) : right - first_doubled(width)]
    up_y = doubling(height, x.dtype, x.device)[top - first_doubled(height) : bottom - first_doubled(height)]
    down_x, down_y = halving(width, x.dtype, x.device), halving(height, x.dtype, x.device)

    # Sample u shows the point (u - CENTRE) / 2, hence in doubled samples A (u - CENTRE) + 2 t + CENTRE.
    u = torch.arange(-HALO, 2 * width + HALO, dtype=x.dtype, device=x.device)[None, None, :] - CENTRE
    v = torch.arange(-HALO, 2 * height + HALO, dtype=x.dtype, device=x.device)[None, :, None] - CENTRE
    (xx, xy, x0), (yx, yy, y0) = (line[:, :, None, None].unbind(1) for line in source[:, :2].unbind(1))
    read_x = xx * u + (xy * v + (2 * x0 + CENTRE - left))
    read_y = yx * u + (yy * v + (2 * y0 + CENTRE - top))
    grid = torch.stack([(2 * read_x + 1) / (right - left) - 1, (2 * read_y + 1) / (bottom - top) - 1], -1)

    def forward(x: Tensor) -> Tensor:
        doubled = separable(up_y, x, up_x)
        warped = F.grid_sample(doubled, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return separable(down_y, warped, down_x)

    def adjoint(y: Tensor) -> Tensor:
        warped = separable(down_y.T, y, down_x.T)
        # Bilinear, zeros outside, align_corners=False; the images' gradient only, which needs a shape only.
        like = warped.new_zeros(()).expand(*y.shape[:2], bottom - top, right - left)
        options = 0, 0, False, [True, False]
        doubled, _ = torch.ops.aten.grid_sampler_2d_backward(warped, like, grid, *options)
        return separable(up_y.T, doubled, up_x.T)

    return forward, adjoint


class _Linear(torch.autograd.Function):
    """A linear map given with its adjoint; differentiable to any order."""

    @staticmethod
    def forward(ctx, x: Tensor, forward: LinearMap, adjoint: LinearMap) -> Tensor:
        ctx.maps = forward, adjoint
        return forward(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return _Linear.apply(grad, adjoint, forward), None, None


def _takes_pixels_to_pixels(source: Tensor) -> Tensor:
    """Whether each matrix [N, 3, 3] is a whole shift after a flip or quarter turn, bool [N]."""
    whole = (source == source.round()).all((1, 2))
    size = source[:, :2, :2].abs()
    return whole & (size.sum(1) == 1).all(1) & (size.sum(2) == 1).all(1)


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
        first, end = first_doubled(size), first_doubled(size) + 2 * (3 * size - 2)
        bounds += [low[:, axis].clamp(first, end - 1), high[:, axis].clamp(first + 1, end)]
    return torch.stack(bounds, 1)
