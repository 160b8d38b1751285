"""Random numbers behind a gate: an image is changed with probability p (arXiv:2006.06676, sec. 2.3).

`p` is a number or a 0-dim tensor, which may live on the device: nothing is read back. Below 0 it acts as 0,
above 1 as 1. All draws come from the global generator of the images' device, with the images first, so that
the numbers of one image stay together.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gate(x: Tensor, p: Tensor | float) -> Tensor:
    """Whether each image of x [N, C, H, W] is changed, bool [N].

    Every transform begins here, so that what is no batch of floating-point images is refused: a ValueError.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"images are {x.dtype} of shape {tuple(x.shape)}; transforms take floating-point [N, C, H, W] in [-1, 1]"
        )
    return torch.rand(len(x), device=x.device) < p


def gated_normal(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from N(0, 1), 0 for images whose gate is closed, [N, *size]."""
    is_open = gate(x, p).view(-1, *[1] * len(size))
    return torch.where(is_open, torch.randn(len(x), *size, dtype=x.dtype, device=x.device), 0)


def gated_uniform(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from U(-1, 1), 0 for images whose gate is closed, [N, *size]."""
    is_open = gate(x, p).view(-1, *[1] * len(size))
    return torch.where(is_open, 2 * torch.rand(len(x), *size, dtype=x.dtype, device=x.device) - 1, 0)
