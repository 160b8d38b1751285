"""Random numbers behind a gate: an image is changed with probability p (arXiv:2006.06676, sec. 2.3).

`p` is a number or a tensor, 0-dim or [N] for a probability of each image's own; a tensor may live on the device:
nothing is read back. Below 0 it acts as 0, above 1 as 1. All draws come from the global generator of the images'
device, with the images first, so that the numbers of one image stay together.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gate(x: Tensor, p: Tensor | float) -> Tensor:
    """Whether each image of x [N, C, H, W] is changed, bool [N]. ValueError for a p of another shape."""
    if isinstance(p, Tensor) and p.shape not in ((), (len(x),)):
        raise ValueError(f"p has shape {tuple(p.shape)}; allowed are a number and one per image, shape ({len(x)},)")
    return torch.rand(len(x), device=x.device) < p


def gated_normal(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from N(0, 1), 0 for images whose gate is closed, [N, *size]."""
    is_open = gate(x, p).view(-1, *[1] * len(size))
    return torch.where(is_open, torch.randn(len(x), *size, dtype=x.dtype, device=x.device), 0)


def gated_uniform(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from U(-1, 1), 0 for images whose gate is closed, [N, *size]."""
    is_open = gate(x, p).view(-1, *[1] * len(size))
    return torch.where(is_open, 2 * torch.rand(len(x), *size, dtype=x.dtype, device=x.device) - 1, 0)
