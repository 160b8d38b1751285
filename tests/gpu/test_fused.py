"""The fused kernels compute what plain torch does, and its first and second derivatives.

On a CPU Triton interprets them: tests/models/test_fused.py runs this file so, in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck

from leangan.core import kernels
from leangan.models.stylegan2 import Backbone, low_pass, one_pass
from leangan.models.stylegan2.epilogue import epilogue

EPSILON = {torch.float64: 2**-52, torch.float32: 2**-23, torch.float16: 2**-10, torch.bfloat16: 2**-7}
"""The distance of 1 from the next number. Triton's interpreter rounds towards zero, which costs all of it."""


@pytest.fixture(autouse=True)
def in_use(device: torch.device, exact: None) -> Iterator[None]:
    """The kernels are on, and none may fail."""
    pytest.importorskip("triton")
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("on a CPU, Triton needs TRITON_INTERPRET=1")
    kernels.use_fused(True)
    yield
    assert kernels.fused()
    kernels.use_fused(False)


def randn(*shape: int, dtype: torch.dtype = torch.float64, device: torch.device) -> Tensor:
    """The same numbers on every device."""
    return torch.randn(shape, dtype=torch.float64).to(device, dtype)


def close(value: Tensor, expected: Tensor, epsilons: float = 2) -> bool:
    """Whether `value` is the float64 `expected` up to some roundings of its type, relative to the largest element."""
    error = (value.double() - expected).abs().max() / expected.abs().max()
    return value.shape == expected.shape and error.item() < epsilons * EPSILON[value.dtype]


# ---- The low-pass ----


FORMS = {
    **{f"padding-{n}": (low_pass.correlate, {"gain": 4.0, "stride": 1, "padding": n}) for n in range(4)},
    "down": (low_pass.correlate, {"gain": 1.0, "stride": 2, "padding": 1}),
    "up": (low_pass.scatter, {"gain": 4.0}),
}
LARGE = [(2, 64, 33, 33), (3, 3, 257, 257), (2, 512, 16, 16), (5, 1, 40, 7)]


@pytest.mark.parametrize("form", FORMS)
def test_the_low_pass_is_that_of_plain_torch(device, form):
    call, arguments = FORMS[form]
    x = randn(1, 3, 5, 6, device=device)
    value = call(x, **arguments)
    assert close(value, call.__wrapped__(x, **arguments), 10)
    assert value.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels, tile", [(1, (32, 64)), (2, (32, 32)), (64, (4, 8)), (128, (4, 4))])
def test_tiles_are_squares_or_two(channels, tile):
    """The smaller their border, the fewer pixels are read twice."""
    from leangan.models.stylegan2.fir_kernel import tile_of

    assert tile_of(channels) == tile


def test_programs_share_samples_tiles_and_channels(device):
    x = randn(2, 130, 3, 4, device=device)  # gives 6 x 8 pixels: 2 x 2 tiles of 4 x 4, 2 blocks of 128 channels
    assert close(low_pass.scatter(x, gain=4.0), low_pass.scatter.__wrapped__(x, gain=4.0), 10)


@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_the_low_pass_of_large_maps(card, form, shape):
    call, arguments = FORMS[form]
    x = randn(*shape, device=card)
    for dtype in EPSILON:
        assert close(call(x.to(dtype), **arguments), call.__wrapped__(x.to(dtype).double(), **arguments), 10)


@pytest.mark.parametrize("dtype", EPSILON)
def test_the_low_pass_adds_in_a_wide_type(device, dtype):
    """A sum of 16 taps is rounded once."""
    x = randn(1, 4, 5, 4, dtype=dtype, device=device)
    value = low_pass.correlate(x, gain=1.0, stride=1, padding=1)
    assert value.dtype == dtype
    assert close(value, low_pass.correlate.__wrapped__(x.double(), 1.0, 1, 1), 2 if dtype.itemsize == 2 else 10)


def test_maps_in_any_order_of_memory(device):
    x = randn(1, 6, 5, 8, device=device)
    for view in (x[:, ::2, :, 1::2], x.transpose(2, 3), x[:, :, :1].expand(-1, -1, 5, -1)):
        assert close(low_pass.upsample2d(view), low_pass.scatter.__wrapped__(view, gain=4.0), 10)


def test_the_low_pass_differentiates_twice(device):
    x = randn(1, 1, 2, 2, device=device).requires_grad_()
    assert gradcheck(low_pass.upsample2d, x, fast_mode=True)
    assert gradgradcheck(low_pass.upsample2d, x, fast_mode=True)


# ---- The epilogue ----


def inputs(device: torch.device, dtype: torch.dtype = torch.float64, shape=(2, 5, 4, 3)) -> dict[str, Tensor]:
    """All of the epilogue's; parameters are float32 where the maps have 16 bits."""
    of = partial(randn, device=device, dtype=torch.promote_types(dtype, torch.float32))
    n, c, h, w = shape
    drawn = {"scales": of(n, c) + 2, "strength": of(), "bias": of(c), "x": of(*shape).to(dtype)}
    return {**drawn, "noise": of(n, 1, h, w).to(dtype)}


def derivatives(call, given: dict[str, Tensor], settings: dict) -> list[Tensor]:
    """Result, gradients, and gradients of a sum of the gradients, by all inputs but the noise."""
    given = {name: tensor.detach().requires_grad_(name != "noise") for name, tensor in given.items()}
    learned = [tensor for tensor in given.values() if tensor.requires_grad]
    parts = {"bias": None, **given, **settings}
    y = call(parts.pop("x").clone(), **parts)  # plain torch overwrites x
    torch.manual_seed(1)
    by_y = randn(*y.shape, dtype=y.dtype, device=y.device).requires_grad_()
    first = grad(y, learned, by_y, create_graph=True)
    total = sum((gradient * randn(*gradient.shape, device=y.device).to(gradient.dtype)).sum() for gradient in first)
    second = grad(total, [by_y, *learned], allow_unused=True, materialize_grads=True)
    return [y, *first, *second]


def assert_same(given: dict[str, Tensor], settings: dict) -> None:
    values = zip(
        derivatives(epilogue, given, settings), derivatives(epilogue.__wrapped__, given, settings), strict=True
    )
    assert all(torch.allclose(value, expected, rtol=1e-12, atol=1e-12) for value, expected in values)


PARTS = {
    "styled": ["x", "scales", "noise", "strength", "bias"],
    "without-noise": ["x", "scales", "bias"],
    "plain": ["x", "bias"],
    "scaled": ["x", "scales"],
    "noisy": ["x", "noise", "strength"],
}


@pytest.mark.parametrize("settings", [{"gain": 1.4, "limit": 0.7}, {"limit": None, "activate": False}], ids=str)
@pytest.mark.parametrize("parts", PARTS)
def test_the_epilogue_and_its_derivatives(device, parts, settings):
    given = {name: tensor for name, tensor in inputs(device).items() if name in PARTS[parts]}
    assert_same(given, settings)


@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 70, 5, 9), (2, 1, 3, 3)], ids=str)
@pytest.mark.parametrize("dtype", list(EPSILON)[1:])
def test_the_epilogue_rounds_once(device, dtype, shape):
    """In float64 from the same numbers; masks are those of the kernel's y, as it lies within rounding of a kink."""
    given = inputs(device, dtype, shape)
    scales, strength, bias, x, noise = given.values()
    form = one_pass.Form(1.4, 0.2, 1.5)
    more, by_y = (x.roll(1, 2), scales + 1), x.roll(1, 3)
    y = one_pass.push(x, scales, None, noise, strength, bias, None, form)
    change = one_pass.push(x, scales, more, noise, strength, bias, y, form)
    pulled = one_pass.pull(by_y, y, scales, x, noise, True, form)

    wide = {name: tensor.double() for name, tensor in given.items()}
    scales, strength, bias, x, noise = wide.values()
    u = x * scales[:, :, None, None] + 1.4 * (strength * noise + bias[:, None, None])
    assert close(y, torch.where(u > 0, u, 0.2 * u).clamp(-1.5, 1.5))
    mask = torch.where(y > 0, 1.0, 0.2).double() * (y.abs() < 1.5)
    assert close(change, mask * (u + x.roll(1, 2) * (scales + 1)[:, :, None, None]))
    h = mask * by_y.double()
    sums = (h * x).sum((2, 3)), 1.4 * (h * noise).sum(), 1.4 * h.sum((0, 2, 3))
    assert close(pulled[0], h * scales[:, :, None, None])
    assert all(
        value.dtype == torch.float32 and close(value, expected, 50)
        for value, expected in zip(pulled[1:], sums, strict=True)
    )


def test_one_map_of_noise_serves_all_samples(device):
    given = inputs(device)
    given["noise"] = given["noise"][0, 0]
    assert_same(given, {})


def test_the_epilogue_differentiates_twice(device):
    given = list(inputs(device, shape=(1, 2, 2, 2)).values())
    for tensor in given[:-1]:
        tensor.requires_grad_()

    def call(scales, strength, bias, x, noise):
        return epilogue(x, bias, 1.4, 1.0, scales=scales, noise=noise, strength=strength)

    assert gradcheck(call, given, fast_mode=True)
    assert gradgradcheck(call, given, fast_mode=True)


@pytest.mark.parametrize("dtype", EPSILON)
def test_from_the_limit_on_there_is_no_gradient(device, dtype):
    """Also where the type does not have the limit, as bfloat16 does not have 181.02."""
    x = torch.tensor([100.0, 170.0, 200.0, 1e4, -8e2, -1e3, -6e4]).to(device, dtype)[None, :, None, None]
    x.requires_grad_()
    y = epilogue(x, None, limit=256 * 0.5**0.5)
    (gradient,) = grad(y.sum(), x)
    slopes = torch.tensor([1, 1, 0, 0, 0.2, 0, 0], dtype=torch.float64, device=device)
    assert y.flatten()[2:4].tolist() == [torch.tensor(256 * 0.5**0.5, dtype=dtype).item()] * 2
    torch.testing.assert_close(gradient.flatten().double(), slopes, rtol=EPSILON[dtype], atol=0)


def test_gradients_that_left_float16_are_cut(device):
    """To its largest numbers, and NaN to zero, before they are added up."""
    scales, strength, bias, x, noise = inputs(device, torch.float16).values()
    form = one_pass.Form(1.4, 0.2, None)
    y = one_pass.push(x, scales, None, noise, strength, bias, None, form)
    by_y = torch.ones_like(x)
    by_y[0, 0, 0, 0], by_y[1, 2, 0, 0], by_y[0, 1, 1] = float("inf"), -float("inf"), float("nan")
    _, *sums = one_pass.pull(by_y, y, scales, x, noise, True, form)
    _, *expected = one_pass.pull.__wrapped__(by_y, y, scales, x, noise, True, form)
    assert sums[2].isfinite().all() and sums[2].abs().max() > 6e4
    torch.testing.assert_close(sums, expected)


def test_more_elements_than_32_bits_count(card):
    """The last sample lies beyond 2^31 elements."""
    x = torch.zeros(2**31 // 64**3 + 1, 64, 64, 64, dtype=torch.bfloat16, device=card)
    x = x.contiguous(memory_format=torch.channels_last)
    x[-1] = randn(64, 64, 64, device=card)
    last, bias = x[-1:].clone(), randn(64, dtype=torch.float32, device=card)
    down = {"gain": 1.0, "stride": 2, "padding": 1}
    assert torch.equal(low_pass.correlate(x, **down)[-1:], low_pass.correlate(last, **down))
    form = one_pass.Form(1.0, 0.2, None)
    y = one_pass.push(x, None, None, None, None, bias, None, form)
    assert torch.equal(y[-1:], one_pass.push(last, None, None, None, None, bias, None, form))
    by_x, by_bias = one_pass.pull(x, y, None, None, None, True, form)[::3]
    expected, by_last = one_pass.pull(last, y[-1:], None, None, None, True, form)[::3]
    assert torch.equal(by_x[-1:], expected)
    torch.testing.assert_close(by_bias, by_last)  # all other gradients are zero


# ---- Whole networks ----


def small() -> Backbone:
    narrow = {"z_dim": 4, "w_dim": 4, "mapping_layers": 1, "fmap_base": 8, "fmap_max": 3, "mbstd_features": 0}
    return Backbone({**narrow, "conv_clamp": 0.5, "pl_batch_shrink": 1}, 8, 3, 0)


def learned(backbone: Backbone, device: torch.device) -> list[Tensor]:
    """Images, logits, and the gradients of both losses, of R1 and of the path length by all parameters."""
    torch.manual_seed(0)
    G, D = backbone.generator().double().to(device), backbone.discriminator().double().to(device)
    with torch.no_grad():
        for name, parameter in [*G.named_parameters(), *D.named_parameters()]:
            if "strength" in name or "bias" in name:
                parameter.copy_(randn(*parameter.shape, device=device))
    G.eval()  # no moving averages, no mixing of styles
    z, x = randn(1, 4, device=device), randn(1, 3, 8, 8, device=device).requires_grad_()
    images, logits = G(z, None, noise_mode="const"), D(x, None)
    torch.manual_seed(1)  # the direction of the path length
    losses = [
        (backbone.g_loss(D(images, None)), G),
        (backbone.d_loss(logits, D(images.detach(), None)), D),
        (backbone.d_regularizer(x, logits), D),
        (backbone.g_regularizer(G, z, None), G),
    ]
    gradients = [
        gradient
        for loss, network in losses
        for gradient in grad(
            loss, list(network.parameters()), allow_unused=True, retain_graph=True, materialize_grads=True
        )
    ]
    return [images, logits, *gradients]


def test_networks_learn_the_same(device):
    backbone = small()
    values = learned(backbone, device)
    assert kernels.fused()
    kernels.use_fused(False)
    expected = learned(backbone, device)
    kernels.use_fused(True)
    assert all(value.norm() > 0 for value in (values[0], values[1]))
    for value, plain in zip(values, expected, strict=True):
        torch.testing.assert_close(value, plain, rtol=1e-9, atol=1e-9)
