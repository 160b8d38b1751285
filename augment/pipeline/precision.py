"""What transforms take and what they compute in: floating-point images, in float32 at least."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps

import torch
from torch import Tensor


def in_float32(transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`transform(x, ...)` for images x [N, C, H, W] of any floating-point type, which the result has too.

    It computes in float32, or float64 where x has it, also under autocast: 8 to 11 significant bits do not tell the
    columns of a large image apart. ValueError for anything but a batch of floating-point images.
    """

    @wraps(transform)
    def computed(x: Tensor, *args, **kwargs) -> Tensor:
        if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point():
            given = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"images are {given}; transforms take floating-point [N, C, H, W] in [-1, 1]")
        device = x.device.type
        rounds = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if rounds else nullcontext():
            return transform(x.to(torch.promote_types(x.dtype, torch.float32)), *args, **kwargs).to(x.dtype)

    return computed
