"""TF32 as the benchmark of precision emulates it on a CPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.precision import RoundedFactors, errors, rounded

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "value, expected",
    [
        (1.0, 1.0),
        (1 + 2**-10, 1 + 2**-10),  # the last bit that TF32 keeps
        (1 + 2**-11, 1 + 2**-10),  # half of it, away from zero
        (1 + 2**-11 - 2**-20, 1.0),
        (-3 - 2**-9, -3 - 2**-9),
        (-1 - 2**-11, -1 - 2**-10),
        (2 - 2**-12, 2.0),  # up to the next power of two
        (0.0, 0.0),
    ],
)
def test_ten_bits_of_mantissa_are_kept(value, expected):
    assert rounded(torch.tensor([value])).item() == expected


def test_the_memory_layout_stays_and_other_types_are_left_alone():
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert rounded(x).stride() == x.stride()
    assert (rounded(x) - x).abs().max() <= x.abs().max() * 2**-11
    y = torch.randn(3, dtype=torch.float64)
    assert torch.equal(rounded(y), y)


def test_products_take_rounded_factors_in_backward_passes_too():
    torch.manual_seed(0)
    a, b = torch.randn(5, 6).requires_grad_(), torch.randn(6, 7)
    with RoundedFactors():
        product = a @ b
        (gradient,) = torch.autograd.grad(product.sum(), a)
    exact = rounded(a.detach()).double() @ rounded(b).double()
    torch.testing.assert_close(product.double(), exact, rtol=1e-6, atol=1e-6)
    assert (product - a @ b).abs().max() > 1e-5
    torch.testing.assert_close(gradient.double(), rounded(b).double().sum(1).expand(5, 6), rtol=1e-6, atol=1e-6)


def test_errors_are_those_of_the_roundings():
    """float16 and TF32 have 10 bits of mantissa, bfloat16 has 7. Kinks of ReLU make gradients less regular."""
    found = errors("stylegan2", 16, CPU, draw=0)
    for quantity in ("images", "logits"):
        of = found[quantity]
        assert of["bfloat16"] > 4 * of["float16"] > 2**-13 and 2**-12 < of["TF32"] < of["bfloat16"], quantity
    for quantity in ("gradient of G's loss", "gradient of D's loss"):
        of = found[quantity]
        assert 0.05 > of["bfloat16"] > max(of["float16"], of["TF32"]) > 2**-12, quantity
    assert 2**-12 < found["gradient of R1"]["TF32"] < 0.05
