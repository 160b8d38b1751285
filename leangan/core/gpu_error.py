"""Errors that CUDA reports: faults of the machine, unless the code provokes them.

A kernel runs on after the call that started it has returned. Its errors reach the host in a later call, anywhere in the
program, so that no traceback tells whose they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from leangan.core.out_of_memory import is_out_of_memory

FAILURE = re.compile(r"CUDA error|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|CUFFT_(EXEC_FAILED|INTERNAL_ERROR)")
"""What torch says of them. Libraries report a failure of an earlier kernel in words of their own."""

PROVOKED = re.compile("device-side assert|invalid configuration argument")
"""An index out of range, or a kernel of impossible size: that code would fail on any machine."""


def is_cuda_error(error: BaseException) -> bool:
    """Whether CUDA reports `error`: the GPU of this process is at fault, or the code on it."""
    text = str(error)
    kinds = isinstance(error, torch.AcceleratorError) or FAILURE.search(text) or PROVOKED.search(text)
    return isinstance(error, RuntimeError) and bool(kinds) and not is_out_of_memory(error)


def is_gpu_failure(error: BaseException) -> bool:
    """Whether `error` is a failure of the GPU, its memory or its driver, and not of the code that runs on it."""
    return is_cuda_error(error) and not PROVOKED.search(str(error))


@contextmanager
def as_gpu_error() -> Iterator[None]:
    """Any failure of the GPU within becomes an OSError that says it in one sentence."""
    try:
        yield
    except RuntimeError as error:
        if not is_gpu_failure(error):
            raise
        raise OSError(str(error).partition("\n")[0]) from error
