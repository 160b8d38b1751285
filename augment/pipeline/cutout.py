"""Cutout (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from augment.pipeline.gate import gate


def hole(x: Tensor, p: Tensor | float = 1.0, strength: float = 0.5) -> Tensor:
    """Pixels that are cut out of each image, bool [N, 1, H, W].

    The hole is a square of strength times the image's side around a centre uniform over the image, so it
    may hang over the edge; a pixel belongs to it if its centre does.
    """
    n, _, height, width = x.shape
    centre_y, centre_x = torch.rand(2, n, 1, dtype=x.dtype, device=x.device)
    row = (torch.arange(height, dtype=x.dtype, device=x.device) + 0.5) / height
    column = (torch.arange(width, dtype=x.dtype, device=x.device) + 0.5) / width
    in_rows = ((row - centre_y).abs() < strength / 2)[:, None, :, None]
    in_columns = ((column - centre_x).abs() < strength / 2)[:, None, None, :]
    return in_rows & in_columns & gate(x, p)[:, None, None, None]


def cut_out(x: Tensor, hole: Tensor) -> Tensor:
    """Sets the pixels of the holes [N, 1, H, W] to zero, which is mid-gray."""
    return x * ~hole
