"""Additive noise and cutout (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.constants import constant

SIDE = 0.5


def add_noise(x: Tensor, sigma: Tensor) -> Tensor:
    """Adds Gaussian noise of sigma [N], independent in all pixels and channels, to images [N, C, H, W]."""
    return torch.addcmul(x, torch.randn(x.shape, dtype=x.dtype, device=x.device), sigma.to(x)[:, None, None, None])


def hole_at(x: Tensor, centre: Tensor, side: float = SIDE) -> Tensor:
    """Pixels of images x [N, C, H, W] in a square around each centre [N, 2], bool [N, 1, H, W].

    Centre and side are fractions of the image's, along x and y. A hole may hang over the edge, or lie outside where
    its centre is infinite; a pixel belongs to it if its centre does.
    """
    height, width = x.shape[2:]
    in_columns, in_rows = (
        (_pixel_centres(size, x.dtype, x.device) - middle).abs() < side / 2
        for size, middle in zip((width, height), centre.split(1, 1), strict=True)
    )
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]


def cut_out(x: Tensor, hole: Tensor) -> Tensor:
    """Sets the pixels of the holes [N, 1, H, W] to zero, which is mid-gray."""
    return x * ~hole


@constant
def _pixel_centres(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return ((torch.arange(size, dtype=dtype) + 0.5) / size).to(device)
