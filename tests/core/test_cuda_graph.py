"""CUDA graphs without a GPU: what counts as a wait for it, and what a failed capture leaves to the caller."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import pytest
import torch

from leangan.core import cuda_graph
from leangan.core.cuda_graph import captured, noted_waits, recorder_on, use_graphs
from leangan.core.errors import ConfigError

CUDA = torch.device("cuda")
PROTOTYPE = "Synchronization debug mode is a prototype feature and does not yet detect all synchronizing operations"


@pytest.fixture
def gpu(monkeypatch):
    """As much of a GPU as the module asks for; the result is what its generator answers."""
    answers = {"rand": None, "pools": 0}

    def draw(size, device):
        if answers["rand"]:
            raise answers["rand"]
        return torch.zeros(size)

    def new_pool() -> int:
        answers["pools"] += 1
        return answers["pools"]

    @contextmanager
    def graph(*_, **__):
        yield

    for name, value in {
        "is_initialized": lambda: True,
        "get_sync_debug_mode": lambda: 0,
        "set_sync_debug_mode": lambda mode: warnings.warn(PROTOTYPE, stacklevel=2),
        "CUDAGraph": lambda: type("Graph", (), {"replay": lambda self: "replayed"})(),
        "current_stream": lambda: 7,
        "default_stream": lambda: 0,
        "graph": graph,
        "graph_pool_handle": new_pool,
        "get_rng_state": lambda: "state",
        "set_rng_state": lambda state: answers.update(restored=state),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(cuda_graph.torch, "rand", draw)
    monkeypatch.setattr(cuda_graph, "_kept", [])
    cuda_graph._pool.cache_clear()
    yield answers
    cuda_graph._pool.cache_clear()


def test_only_what_torch_calls_a_wait_is_one(gpu):
    with noted_waits() as waits:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally at ...)", stacklevel=1)
        warnings.warn("something else that is synchronized", stacklevel=1)
    assert len(waits) == 1 and waits[0].startswith(f"{__file__}, line ")


def test_nothing_is_noted_without_a_gpu():
    with pytest.warns(match="synchronizing"), noted_waits() as waits:
        warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
    assert waits == []


def test_graphs_are_for_gpus_and_can_be_switched_off():
    try:
        assert recorder_on(CUDA) is captured and recorder_on(torch.device("cpu")) is None
        use_graphs(False)
        assert recorder_on(CUDA) is None
    finally:
        use_graphs(True)


def fail() -> None:
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def test_after_a_failed_capture_the_next_one_has_memory_of_its_own(gpu):
    assert captured(lambda: None)() == "replayed"
    with pytest.raises(RuntimeError, match="operation not permitted"):
        captured(fail)
    captured(lambda: None)
    assert gpu["pools"] == 2 and gpu["restored"] == "state" and len(cuda_graph._kept) == 1


def test_a_process_that_cannot_go_on_says_how_to(gpu):
    gpu["rand"] = RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
    with pytest.raises(ConfigError, match=r"\(operation not permitted when stream is capturing\).*--no-cuda-graphs"):
        captured(fail)


def test_too_little_memory_for_the_check_is_no_such_fault(gpu):
    gpu["rand"] = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="operation not permitted"):
        captured(fail)
