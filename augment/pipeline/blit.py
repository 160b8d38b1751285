"""Laws of pixel blitting, the transforms that copy pixels (arXiv:2006.06676, appendix B).

Matrices as in `augment.pipeline.geometry`, with whole entries only, so that `warp` copies pixels exactly.
A coin has no width to scale: the `strength` of a flip or quarter turn multiplies its probability.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.gate import gate, gated_uniform
from leangan.augment.pipeline.geometry import affine

REACH = 0.125


def draw_flip_x(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Horizontal flip by a fair coin: behind the gate, so an image is flipped with probability p / 2."""
    flipped = gate(x, p) & gate(x, strength / 2)
    return affine(x, torch.where(flipped, -1, 1).to(x), 0, 0, 1)


def draw_rotate90(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Rotation by 0, 90, 180 or 270 degrees with equal probability, so turned at all with 3p / 4.

    ValueError where a quarter turn about the centre does not take pixels to pixels.
    """
    height, width = x.shape[-2:]
    if (height - width) % 2:
        raise ValueError(
            f"images are {height} x {width}; quarter turns need sides that differ by an even number of pixels"
        )
    is_open = gate(x, torch.as_tensor(p).clamp(0, 1) * strength)
    turns = torch.where(is_open, torch.randint(4, (len(x),), device=x.device), 0)
    cos = (turns == 0).to(x) - (turns == 2).to(x)
    sin = (turns == 1).to(x) - (turns == 3).to(x)
    return affine(x, cos, -sin, sin, cos)


def draw_translate_whole(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Translation by U(-1/8, 1/8) of the size, rounded to pixels; own axes, one gate."""
    height, width = x.shape[-2:]
    dx, dy = (gated_uniform(x, p, 2) * (REACH * strength)).unbind(1)
    return affine(x, 1, 0, 0, 1, (dx * width).round(), (dy * height).round())
