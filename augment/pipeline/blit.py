"""Random pixel blitting: transforms that copy pixels (arXiv:2006.06676, appendix B).

Matrices as in `augment.pipeline.geometry`, with whole entries only, so that `warp` copies pixels exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from augment.pipeline.gate import gate, gated_uniform
from augment.pipeline.geometry import affine


def flip_x(x: Tensor, p: Tensor | float = 1.0) -> Tensor:
    """Horizontal flip by a fair coin: behind the gate, so an image is flipped with probability p / 2."""
    flipped = gate(x, p) & gate(x, 0.5)
    return affine(x, torch.where(flipped, -1, 1).to(x), 0, 0, 1)


def rotate90(x: Tensor, p: Tensor | float = 1.0) -> Tensor:
    """Rotation by 0, 90, 180 or 270 degrees with equal probability, so turned at all with 3p / 4."""
    turns = torch.where(gate(x, p), torch.randint(4, (len(x),), device=x.device), 0)
    cos = (turns == 0).to(x) - (turns == 2).to(x)
    sin = (turns == 1).to(x) - (turns == 3).to(x)
    return affine(x, cos, -sin, sin, cos)


def translate_whole(x: Tensor, p: Tensor | float = 1.0, strength: float = 0.125) -> Tensor:
    """Translation by U(-strength, strength) of the size, rounded to pixels; own axes, one gate."""
    height, width = x.shape[2:]
    dx, dy = gated_uniform(x, p, 2) * strength
    return affine(x, 1, 0, 0, 1, (dx * width).round(), (dy * height).round())
