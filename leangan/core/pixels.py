"""The two forms of images: uint8 as they are stored, and floats in [-1, 1] as networks and methods see them."""

from __future__ import annotations

import torch
from torch import Tensor


def as_float(x: Tensor) -> Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, rounded to the nearest of 256 levels as both papers' metrics do."""
    return (x * 127.5 + 128).clamp(0, 255).to(torch.uint8)
