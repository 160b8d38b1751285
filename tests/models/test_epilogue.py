"""What follows a convolution, against the formula in separate steps and against torch's clamp."""

from __future__ import annotations

import pytest
import torch

from leangan.models.stylegan2.epilogue import epilogue, limited

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_limit_has_the_values_and_gradients_of_clamp(dtype: torch.dtype):
    """Below, at and above both limits; the second derivative through a factor of the gradient."""
    values = torch.tensor([-3, -2, -1.5, 0, 1, 2, 2.5, float("inf"), float("-inf")], dtype=dtype)
    found = []
    for function in (lambda x: limited(x, 2.0), lambda x: x.clamp(-2.0, 2.0)):
        x = values.clone().requires_grad_()
        factor = torch.arange(1, 10, dtype=dtype).requires_grad_()
        y = function(x)
        (first,) = torch.autograd.grad((factor * y).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), factor)
        assert y.dtype == first.dtype == second.dtype == dtype
        found.append((y, first, second))
    for ours, clamp in zip(*found, strict=True):
        assert torch.equal(ours, clamp)
    assert found[0][1].tolist() == [0, 0, 3, 4, 5, 0, 0, 0, 0]


def test_the_limit_differentiates_twice():
    x = torch.tensor([-2.5, -1.0, 0.3, 1.9, 4.0], dtype=torch.float64, requires_grad=True)

    def call(x: torch.Tensor) -> torch.Tensor:
        return limited(x.square() * x, 2.0)

    assert torch.autograd.gradcheck(call, x)
    assert torch.autograd.gradgradcheck(call, x)
    assert limited(x, None) is x


def test_the_second_derivative_of_the_limit_reaches_no_constant_of_its_input():
    """An optimiser passes over a parameter without gradient, but moves on with one of zeros."""
    x, bias = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    (first,) = torch.autograd.grad((limited(x + bias, 0.5) * x.detach()).sum(), x, create_graph=True)
    (gradient,) = torch.autograd.grad((first * x).sum(), bias, allow_unused=True)
    assert gradient is None


@pytest.mark.parametrize("activate", [True, False])
def test_epilogue_is_the_formula(activate: bool):
    torch.manual_seed(0)
    x, noise = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5)
    scales, bias, strength = torch.rand(2, 3) + 0.5, torch.randn(3), torch.tensor(0.7)
    sums = x * scales.view(2, 3, 1, 1) + 1.5 * (strength * noise + bias.view(1, 3, 1, 1))
    expected = torch.where(sums > 0, sums, 0.2 * sums) if activate else sums
    expected = torch.where(expected.abs() < 0.9, expected, 0.9 * expected.sign())
    y = epilogue(x.clone(), bias, 1.5, 0.9, activate, scales, noise, strength)
    torch.testing.assert_close(y, expected)
    assert (y.abs() == 0.9).any() and (y.abs() < 0.9).any()


def test_epilogue_of_nothing_is_its_input():
    x = torch.randn(1, 2, 3, 3)
    assert epilogue(x, None, activate=False) is x
