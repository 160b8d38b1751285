"""Memory that does not suffice, of the machine or of a GPU, as one exception: a fault of neither method nor data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORDS = (
    "can't allocate memory",  # on a CPU
    "CUDA error: out of memory",  # where CUDA itself needs it
    "STATUS_ALLOC_FAILED",  # where cuBLAS or cuDNN does
    "unable to find an engine to execute this computation",  # where none of cuDNN's algorithms could get its memory
)
"""What torch says in a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in WORDS)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Any error of memory within becomes a MemoryError that says it in one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not is_out_of_memory(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error
