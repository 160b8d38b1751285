"""CUDA graphs: what a function queues on a GPU, recorded once and queued again by a single call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

Work = Callable[[], None]
Recorder = Callable[[Work], Work]
"""Turns work into its replay, as `captured` does."""


@functools.cache
def _pool() -> Any:
    """The memory that all graphs of this process share: they run one after the other."""
    return torch.cuda.graph_pool_handle()


def captured(work: Work) -> Work:
    """The replay of `work`, which is recorded now and not carried out.

    `work` reads and writes tensors that stay where they are. What else it allocates belongs to the graph and holds its
    values until another graph runs, unless a reference keeps it. Numbers in Python are those of the recording. Random
    numbers follow the seed and the position of torch's generator at each replay, as if `work` itself had run.

    Run `work` at least once before, so that everything that is set up at first use is. Raises RuntimeError where it
    does what a graph cannot hold, such as to wait for the GPU; nothing has been computed then.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    own = None if stream == torch.cuda.default_stream() else stream  # the default stream cannot be captured
    # Other threads may go on with what a capture forbids, such as reading the next images ahead.
    with torch.cuda.graph(graph, pool=_pool(), stream=own, capture_error_mode="thread_local"):
        work()
    return graph.replay
