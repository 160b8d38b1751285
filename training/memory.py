"""Memory that does not suffice, of the machine or of a GPU, as one exception: a fault of neither method nor data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice; on a CPU torch says so with a plain RuntimeError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Any error of memory within becomes a MemoryError that says it in one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not out_of_memory(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error
