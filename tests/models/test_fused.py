"""Where fused kernels take over from plain torch, and what happens where they cannot."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from leangan.core import kernels
from leangan.core.project import ROOT
from leangan.models.stylegan2 import low_pass, one_pass
from leangan.models.stylegan2.epilogue import epilogue

FIR = "leangan.models.stylegan2.fir_kernel"


@pytest.fixture(autouse=True)
def plain_afterwards() -> Iterator[None]:
    yield
    kernels.use_fused(False)


@pytest.fixture
def wanted(monkeypatch) -> None:
    """Kernels are asked for, and tensors of the CPU count as Triton's."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernels.use_fused(True)


@pytest.fixture
def kernel_of(monkeypatch):
    """A function that puts its argument in the place of the low-pass kernel."""

    def put(correlate) -> None:
        module = ModuleType(FIR)
        module.correlate = correlate
        monkeypatch.setitem(sys.modules, FIR, module)

    return put


def filtered() -> torch.Tensor:
    return low_pass.low_pass(torch.ones(1, 2, 5, 5), gain=1.0, padding=0)


def test_the_kernels_in_the_interpreter():
    """It must be chosen before triton is imported, which the optimisers of torch do: hence another process."""
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "tests/gpu/test_fused.py", "--device", "cpu"]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    pytest.importorskip("triton")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_they_are_off_until_asked_for_and_then_do_the_work(monkeypatch, kernel_of):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kernel_of(lambda x, gain, stride, padding: x + 41)
    assert filtered().eq(1).all()
    kernels.use_fused(True)
    assert filtered().eq(42).all()
    kernels.use_fused(False)
    assert filtered().eq(1).all()


def test_a_cpu_keeps_to_plain_torch(monkeypatch, kernel_of):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    kernel_of(lambda x, gain, stride, padding: x + 41)
    kernels.use_fused(True)
    assert filtered().eq(1).all() and kernels.fused()


def test_without_triton_plain_torch_goes_on(wanted, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton", None)
    for module in (FIR, "leangan.models.stylegan2.epilogue_kernels"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    x, bias = torch.randn(2, 3, 4, 4), torch.randn(3)
    y = epilogue(x.clone(), bias, limit=1.0)
    assert filtered().eq(1).all()
    torch.testing.assert_close(y, epilogue.__wrapped__(x.clone(), bias, limit=1.0))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "ModuleNotFoundError" in record.message and "triton" in record.message


def test_a_kernel_that_fails_is_reported_once(wanted, kernel_of, caplog):
    def fail(x, gain, stride, padding):
        raise RuntimeError("Failed to find C compiler.")

    kernel_of(fail)
    assert filtered().eq(1).all() and filtered().eq(1).all()
    (record,) = caplog.records
    assert "Failed to find C compiler" in record.message
    assert not kernels.fused()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: unspecified launch failure")]
)
def test_errors_of_the_gpu_pass(wanted, kernel_of, error):
    def fail(x, gain, stride, padding):
        raise error

    kernel_of(fail)
    with pytest.raises(type(error)):
        filtered()
    assert kernels.fused()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("activate", [False, True])
def test_push_and_pull_are_the_derivatives_of_the_epilogue(activate: bool, scaled: bool):
    """In plain torch, which a kernel that fails in a backward pass leaves the work to."""

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64).requires_grad_()

    noise = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    given = [randn(2, 3, 2, 2), randn(3), randn(), *([randn(2, 3)] if scaled else [])]

    def call(x, bias, strength, scales=None):
        return one_pass.epilogue(x, bias, 1.4, 1.5, activate, scales, noise, strength)

    x, *rest = given
    scales = rest[2] if scaled else None
    expected = epilogue(x.clone(), rest[0], 1.4, 1.5, activate, scales, noise, rest[1])
    torch.testing.assert_close(call(*given), expected)
    assert torch.autograd.gradcheck(call, given)
    assert torch.autograd.gradgradcheck(call, given)
