"""Memory that does not suffice, of the machine or of a GPU, as one exception: a fault of neither method nor data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORDS = "can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED"
"""What torch says on a CPU, where CUDA itself needs memory, and where cuBLAS or cuDNN does: a plain RuntimeError."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in WORDS)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Any error of memory within becomes a MemoryError that says it in one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not out_of_memory(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error
