"""CUDA graphs: what a function queues on a GPU, recorded once and queued again by a single call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from leangan.core.errors import ConfigError

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
    does what a graph cannot hold, such as to wait for the GPU; nothing has been computed then. Raises ConfigError where
    torch then draws no more random numbers either.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    own = None if stream == torch.cuda.default_stream() else stream  # the default stream cannot be captured
    try:
        # Other threads may go on with what a capture forbids, such as reading the next images ahead.
        with torch.cuda.graph(graph, pool=_pool(), stream=own, capture_error_mode="thread_local"):
            work()
    except RuntimeError as error:
        del graph
        _check_generator(error)
        raise
    return graph.replay


def _check_generator(failure: RuntimeError) -> None:
    """Raise ConfigError unless torch draws random numbers after the `failure` of a capture."""
    try:
        state = torch.cuda.get_rng_state()
        torch.rand((), device="cuda")
        torch.cuda.set_rng_state(state)
    except RuntimeError:
        reason = str(failure).partition("\n")[0]
        raise ConfigError(
            f"a CUDA graph could not be captured ({reason}), and torch does not recover from it in this process. The "
            "same command continues with cuda_graphs: false in config/config.yaml, or --no-cuda-graphs."
        ) from failure
