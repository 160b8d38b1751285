"""A rank that is lost and a GPU that fails: wherever they surface, they are no result of the method."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from leangan import cli
from leangan.plugins.check import HookError, check_gradients
from leangan.plugins.controller import Controller
from leangan.plugins.method import Method
from leangan.training.log import Tally
from leangan.training.trainer import Trainer
from tests.helpers.fault_commands import train_options

NCCL = "NCCL error in: NCCLUtils.cpp:77, "
ADVICE = "\nCUDA kernel errors might be asynchronously reported at some other API call."

LOST = [
    dist.DistBackendError(f"{NCCL}remote process exited or there was a network error, NCCL version 2.28.9"),
    dist.DistNetworkError("failed to recv, got 0 bytes"),
    RuntimeError("NCCL communicator was aborted on rank 0."),
    RuntimeError(
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely"
    ),
]
FAILED = [
    torch.AcceleratorError(f"CUDA error: unspecified launch failure{ADVICE}"),
    torch.AcceleratorError(f"CUDA error: uncorrectable ECC error encountered{ADVICE}"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
PROVOKED = [
    torch.AcceleratorError(f"CUDA error: device-side assert triggered{ADVICE}"),
    torch.AcceleratorError(f"CUDA error: invalid configuration argument{ADVICE}"),
    dist.DistBackendError(f"{NCCL}unhandled cuda error\nLast error:\nCuda failure 710 'device-side assert triggered'"),
]
TOO_LITTLE = [
    torch.AcceleratorError(f"CUDA error: out of memory{ADVICE}"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
]
PLACES = [(Trainer, "d_step"), (Tally, "means"), (Controller, "log")]


@pytest.fixture(autouse=True)
def started_by_torchrun(monkeypatch) -> Iterator[None]:
    """As the only rank, with a process group."""
    variables = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 0}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def ended(inputs, tmp_path, monkeypatch):
    """A function (error, place) -> how training ends in which `place` raises `error`: what it says, train.json."""

    def train(error: Exception, place: tuple[type, str]) -> tuple[str, dict[str, Any] | None]:
        def fail(*_: object) -> None:
            raise error.with_traceback(None)

        monkeypatch.setattr(*place, fail)
        with pytest.raises(SystemExit) as end:
            cli.main(["train", *map(str, train_options(inputs, tmp_path))])
        said = str(end.value.code or "")
        result = tmp_path / "train.json"
        return said, json.loads(result.read_text()) if result.exists() else None

    return train


def name_of(case: object) -> str:
    return str(case).splitlines()[0] if isinstance(case, Exception) else case[1]


@pytest.mark.parametrize("place", PLACES, ids=name_of)
@pytest.mark.parametrize("error", LOST, ids=name_of)
def test_a_lost_rank_is_no_result(ended, error, place):
    said, result = ended(error, place)
    assert said.startswith("error: rank 0 lost contact with another (") and str(error).splitlines()[0] in said
    assert "\n" not in said and result is None


@pytest.mark.parametrize("place", PLACES, ids=name_of)
@pytest.mark.parametrize("error", FAILED, ids=name_of)
def test_a_gpu_that_fails_is_no_result(ended, error, place):
    said, result = ended(error, place)
    assert said == f"error: {str(error).splitlines()[0]}; once that is mended, the same command continues"
    assert result is None


@pytest.mark.parametrize("error", TOO_LITTLE, ids=name_of)
def test_memory_of_a_gpu_that_does_not_suffice_is_said_to_be_that(ended, error):
    said, result = ended(error, PLACES[0])
    assert said.startswith("error: out of memory (") and result is None


@pytest.mark.parametrize("error", PROVOKED, ids=name_of)
def test_what_code_provokes_on_a_gpu_is_a_result(ended, error):
    said, result = ended(error, PLACES[0])
    assert not said and result["status"] == "error" and type(error).__name__ in result["reason"]


class Through(torch.autograd.Function):
    """Passes images on; their gradient raises `error`."""

    error: Exception

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        raise Through.error


@pytest.mark.parametrize(
    "error, becomes",
    [
        (FAILED[0], torch.AcceleratorError),
        (LOST[0], dist.DistBackendError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), RuntimeError),
        (RuntimeError("not differentiable"), HookError),
    ],
)
def test_the_trial_of_a_gradient_blames_the_method_for_its_own_faults_only(monkeypatch, error, becomes):
    monkeypatch.setattr(Through, "error", error, raising=False)
    x = torch.ones(1, 3, 4, 4, requires_grad=True)
    with pytest.raises(becomes):
        check_gradients(Method(), "real", Through.apply(x), x)
