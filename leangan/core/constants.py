"""Tensors that never change, made once per size, type and device: filters, resampling matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def constant(make: Callable[..., T]) -> Callable[..., T]:
    """`make`, whose result is kept for each set of arguments, so that no step computes it or copies it to the device.

    It runs outside inference mode. A tensor that was made within could not take part in a later training step.
    """

    @functools.cache
    @functools.wraps(make)
    def kept(*args: Any, **kwargs: Any) -> T:
        with torch.inference_mode(False), torch.no_grad():
            return make(*args, **kwargs)

    return kept
