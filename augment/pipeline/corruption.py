"""Additive noise and cutout: laws and execution (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.gate import gate, gated_normal

SIGMA_STD, SIDE = 0.1, 0.5


def draw_noise_sigma(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Standard deviation of each image's noise, |N(0, 0.1^2)| behind the gate, [N]."""
    return gated_normal(x, p).abs() * (SIGMA_STD * strength)


def add_noise(x: Tensor, sigma: Tensor) -> Tensor:
    """Adds Gaussian noise of sigma [N], independent in all pixels and channels, to images [N, C, H, W]."""
    return x + torch.randn(x.shape, dtype=x.dtype, device=x.device) * sigma.to(x)[:, None, None, None]


def draw_hole(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Pixels that are cut out of each image, bool [N, 1, H, W].

    The hole is a square of half the image's side around a centre uniform over the image, so it may hang over
    the edge; a pixel belongs to it if its centre does.
    """
    is_open = gate(x, p)[:, None, None, None]
    n, _, height, width = x.shape
    centre_y, centre_x = torch.rand(n, 2, dtype=x.dtype, device=x.device)[:, :, None].unbind(1)
    row = (torch.arange(height, dtype=x.dtype, device=x.device) + 0.5) / height
    column = (torch.arange(width, dtype=x.dtype, device=x.device) + 0.5) / width
    in_rows = ((row - centre_y).abs() < SIDE * strength / 2)[:, None, :, None]
    in_columns = ((column - centre_x).abs() < SIDE * strength / 2)[:, None, None, :]
    return in_rows & in_columns & is_open


def cut_out(x: Tensor, hole: Tensor) -> Tensor:
    """Sets the pixels of the holes [N, 1, H, W] to zero, which is mid-gray."""
    return x * ~hole
