"""Fused kernels: one launch in Triton where plain torch needs several, or a slow one.

They are off until `use_fused(True)`. A function that has such a kernel stays plain torch and is decorated; where the
kernel cannot run, on a CPU, without Triton or without a C compiler, the plain function does the work.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from leangan.core.gpu_error import is_cuda_error
from leangan.core.out_of_memory import is_out_of_memory

logger = logging.getLogger("kernels")

P = ParamSpec("P")
T = TypeVar("T")

_fused = False


def use_fused(on: bool) -> None:
    """Let fused kernels do the work of this process from now on where they can, or no longer."""
    global _fused
    _fused = on


def fused() -> bool:
    """Whether fused kernels are in use: they were asked for, and none has failed since."""
    return _fused


def _interpreted() -> bool:
    """Whether Triton interprets its kernels on the CPU, as in tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def fusible(module: str) -> Callable[[Callable[Concatenate[Tensor, P], T]], Callable[Concatenate[Tensor, P], T]]:
    """A decorator of a plain function whose first argument is a tensor: `module` has its kernel, of the same name.

    Both take the same arguments and give the same result up to rounding. The module is imported at the first call. The
    first kernel that fails is reported and switches all of them off. Errors of the GPU and of its memory are raised
    again, since the plain function would meet them too. The plain function is the attribute `__wrapped__`.
    """

    def decorate(plain: Callable[Concatenate[Tensor, P], T]) -> Callable[Concatenate[Tensor, P], T]:
        @functools.wraps(plain)
        def chosen(x: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if not (_fused and (x.is_cuda or _interpreted())):
                return plain(x, *args, **kwargs)
            try:
                kernel = getattr(importlib.import_module(module), plain.__name__)
                with torch.cuda.device_of(x):  # Triton launches on the current device
                    return kernel(x, *args, **kwargs)
            except Exception as error:
                if is_out_of_memory(error) or is_cuda_error(error):
                    raise
                use_fused(False)
                logger.warning("fused kernels are off, plain torch goes on: %s: %s", type(error).__name__, error)
                return plain(x, *args, **kwargs)

        return chosen

    return decorate
