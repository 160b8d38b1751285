"""CUDA graphs: what a function queues on a GPU, recorded once and queued again by a single call."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from leangan.core.errors import ConfigError
from leangan.core.out_of_memory import is_out_of_memory

Work = Callable[[], None]
Recorder = Callable[[Work], Work]
"""Turns work into its replay, as `captured` does."""

WAITS = "called a synchronizing CUDA operation"
"""What torch's warning says where the host waits."""

_wanted = True
_kept: list[torch.cuda.CUDAGraph] = []


def use_graphs(on: bool) -> None:
    """Let this process run work as CUDA graphs from now on where it can, or no longer."""
    global _wanted
    _wanted = on


def recorder_on(device: torch.device) -> Recorder | None:
    """`captured` for a GPU, unless graphs are switched off; None: work runs as it is written."""
    return captured if _wanted and device.type == "cuda" else None


@functools.cache
def _pool() -> Any:
    """The memory that all graphs of this process share: they run one after the other."""
    return torch.cuda.graph_pool_handle()


def captured(work: Work) -> Work:
    """The replay of `work`, which is recorded now and not carried out.

    `work` reads and writes tensors that stay where they are. What else it allocates belongs to the graph and holds its
    values until another graph runs, unless a reference keeps it. Numbers in Python are those of the recording. Random
    numbers follow the seed and the position of torch's generator at each replay, as if `work` itself had run.

    Run `work` at least once before, within `noted_waits`: what is made at first use is then made, and nothing may wait
    for the GPU, which no graph can hold. Raises RuntimeError where `work` cannot be recorded. The GPU has then computed
    nothing, so `work` has to run again. Raises ConfigError where torch does not recover from the failure.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    own = None if stream == torch.cuda.default_stream() else stream  # the default stream cannot be captured
    try:
        # Other threads may go on with what a capture forbids, such as reading the next images ahead.
        with torch.cuda.graph(graph, pool=_pool(), stream=own, capture_error_mode="thread_local"):
            work()
    except RuntimeError as error:
        _kept.append(graph)  # the allocator may still refer to it
        _pool.cache_clear()
        _check_generator(error)
        raise
    return graph.replay


class Replay:
    """`function(*tensors)`, recorded by `record` on copies of the tensors.

    A call copies other tensors of the same sizes into these and replays. Raises what `record` raises.
    """

    def __init__(self, record: Recorder, function: Callable[..., object], *tensors: Tensor | None) -> None:
        self._inputs = [None if tensor is None else tensor.clone() for tensor in tensors]

        def work() -> None:
            function(*self._inputs)

        self._replay = record(work)

    def __call__(self, *tensors: Tensor | None) -> None:
        for static, fresh in zip(self._inputs, tensors, strict=True):
            if static is not None and fresh is not None:
                static.copy_(fresh)
        self._replay()


def _check_generator(failure: RuntimeError) -> None:
    """Raise ConfigError unless torch draws random numbers after the `failure` of a capture."""
    try:
        state = torch.cuda.get_rng_state()
        torch.rand((), device="cuda")
        torch.cuda.set_rng_state(state)
    except RuntimeError as error:
        if is_out_of_memory(error):
            return
        reason = str(failure).partition("\n")[0]
        raise ConfigError(
            f"a CUDA graph could not be captured ({reason}), and torch does not recover from that in this process. The "
            "same command goes on with cuda_graphs: false in config/config.yaml, or --no-cuda-graphs."
        ) from failure


@contextmanager
def noted_waits() -> Iterator[list[str]]:
    """Within it, the list gets a line for each place where the host waits for the GPU; none without a GPU at work."""
    waits: list[str] = []
    if not torch.cuda.is_initialized():
        yield waits
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    waits += [f"{each.filename}, line {each.lineno}" for each in caught if WAITS in str(each.message)]
