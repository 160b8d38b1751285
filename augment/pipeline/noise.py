"""Additive noise (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from augment.pipeline.gate import gated_normal


def noise_sigma(x: Tensor, p: Tensor | float = 1.0, strength: float = 0.1) -> Tensor:
    """Standard deviation of each image's noise, |N(0, strength^2)| behind the gate, [N]."""
    return gated_normal(x, p).abs() * strength


def add_noise(x: Tensor, sigma: Tensor) -> Tensor:
    """Adds Gaussian noise of sigma [N], independent in all pixels and channels, to images [N, C, H, W]."""
    return x + torch.randn_like(x) * sigma.to(x)[:, None, None, None]
