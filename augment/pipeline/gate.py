"""Random numbers behind a gate: an image is changed with probability p (arXiv:2006.06676, sec. 2.3).

`p` is a number or a 0-dim tensor, which may live on the device: nothing is read back. Below 0 it acts as 0,
above 1 as 1. All draws come from the global generator of the images' device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gate(x: Tensor, p: Tensor | float) -> Tensor:
    """Whether each image of x [N, C, H, W] is changed, bool [N]."""
    return torch.rand(len(x), device=x.device) < p


def gated_normal(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from N(0, 1), 0 for images whose gate is closed, [*size, N]."""
    return torch.where(gate(x, p), torch.randn(*size, len(x), dtype=x.dtype, device=x.device), 0)


def gated_uniform(x: Tensor, p: Tensor | float, *size: int) -> Tensor:
    """Numbers from U(-1, 1), 0 for images whose gate is closed, [*size, N]."""
    return torch.where(gate(x, p), 2 * torch.rand(*size, len(x), dtype=x.dtype, device=x.device) - 1, 0)
