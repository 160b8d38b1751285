"""StyleGAN2's operators against scipy, numpy and explicit loops."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import correlate2d, upfirdn

from leangan.models.stylegan2 import low_pass, ops

FIR = np.array([1, 3, 3, 1]) / 8


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def filtered(plane: np.ndarray, up: int = 1) -> np.ndarray:
    """Zeros between the samples, then the low-pass over every position it overlaps, in both directions."""
    for axis in (0, 1):
        plane = upfirdn(up * FIR, plane, up=up, axis=axis)
    return plane


@pytest.mark.usefixtures("way")
def test_upsample2d_is_upfirdn():
    x = randn(2, 3, 5, 4)
    expected = [[filtered(plane, up=2)[1:-1, 1:-1] for plane in image] for image in x.numpy()]
    np.testing.assert_allclose(low_pass.upsample2d(x), expected, atol=1e-12)


@pytest.mark.usefixtures("way")
def test_downsample2d_is_upfirdn():
    x = randn(2, 3, 6, 8)
    expected = [[filtered(plane)[2:-1:2, 2:-1:2] for plane in image] for image in x.numpy()]
    np.testing.assert_allclose(low_pass.downsample2d(x), expected, atol=1e-12)


@pytest.mark.usefixtures("way")
def test_conv2d_up_is_zero_insertion_convolution_filter():
    x, weight = randn(1, 2, 4, 3), randn(3, 2, 3, 3)
    expected = np.zeros((3, 8, 6))
    for o in range(3):
        for i in range(2):
            spread = np.zeros((7, 5))
            spread[::2, ::2] = x[0, i]
            convolved = correlate2d(spread, weight[o, i], mode="full")
            expected[o] += 4 * filtered(convolved)[2:-2, 2:-2]
    np.testing.assert_allclose(ops.conv2d_up(x, weight)[0], expected, atol=1e-12)


@pytest.mark.usefixtures("way")
def test_conv2d_down_is_filter_convolution_decimation():
    x, weight = randn(1, 2, 8, 6), randn(3, 2, 3, 3)
    expected = np.zeros((3, 4, 3))
    for o in range(3):
        for i in range(2):
            smooth = filtered(x[0, i].numpy())[1:-1, 1:-1]
            expected[o] += correlate2d(smooth, weight[o, i], mode="valid")[::2, ::2]
    np.testing.assert_allclose(ops.conv2d_down(x, weight)[0], expected, atol=1e-12)


FILTERS = {
    "upsample": low_pass.upsample2d,
    "downsample": low_pass.downsample2d,
    **{f"padding-{padding}": partial(low_pass.low_pass, gain=4.0, padding=padding) for padding in range(4)},
}


@pytest.fixture(params=["depthwise", "means"])
def way(request, monkeypatch):
    """Both ways to filter, whatever the device."""
    if request.param == "means":
        monkeypatch.setattr(low_pass, "depthwise_correlate", low_pass.mean_correlate)
        monkeypatch.setattr(low_pass, "depthwise_scatter", low_pass.mean_scatter)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", FILTERS)
def test_filters_have_the_adjoint_as_their_gradient(name: str):
    """<A x, y> = <x, A' y>, and A' is the transpose of the matrix of A, which single pixels give."""
    x = randn(2, 3, 6, 8).requires_grad_()
    y = FILTERS[name](x)
    to = randn(*y.shape)
    (adjoint,) = torch.autograd.grad(y, x, to)
    torch.testing.assert_close((y * to).sum(), (x * adjoint).sum())
    pixels = torch.eye(6 * 8, dtype=torch.float64).view(-1, 1, 6, 8)
    transposed = FILTERS[name](pixels).flatten(1) @ to.flatten(2).flatten(0, 1).T
    torch.testing.assert_close(adjoint, transposed.T.view_as(x))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", FILTERS)
def test_filters_differentiate_twice(name: str):
    x = randn(2, 3, 6, 4).requires_grad_()
    assert torch.autograd.gradcheck(FILTERS[name], x, fast_mode=True)
    assert torch.autograd.gradgradcheck(FILTERS[name], x, fast_mode=True)


@pytest.mark.parametrize("gain", [4.0, 2.0, 4 / 3, 1.0, 4 / 7, 0.5])
def test_means_add_up_to_their_gain(gain):
    """Of ones, within the border; half of the taps of an axis meet zeros between pixels."""
    ones = torch.ones(1, 1, 6, 6, dtype=torch.float64)
    inside = low_pass.mean_correlate(ones, gain=gain, stride=1, padding=0)
    between = low_pass.mean_scatter(ones, gain=gain)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, gain))
    torch.testing.assert_close(between, torch.full_like(between, gain / 4))


@pytest.mark.parametrize("gain", [0.7, 3.0, 16.0, 0.0, -1.0])
def test_means_refuse_a_gain_that_they_cannot_give(gain):
    x = torch.ones(1, 1, 6, 6, device="meta")
    with pytest.raises(ValueError, match=f"gain is {gain}, .* 4 divided by a whole number"):
        low_pass.low_pass(x, gain=gain, padding=1)
    with pytest.raises(ValueError, match=f"gain is {gain}, "):
        low_pass.scatter(x, gain=gain)


@pytest.mark.parametrize("call", [ops.conv2d_up, ops.conv2d_down])
def test_filtered_convolutions_differentiate_twice(call):
    inputs = [t.requires_grad_() for t in (randn(2, 3, 6, 4), randn(2, 3, 3, 3))]
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


@pytest.mark.parametrize("norm", [None, 1.0, math.sqrt(2)])
@pytest.mark.parametrize(("kernel", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_conv2d_is_a_convolution_per_sample(kernel: int, up: bool, norm: float | None):
    x, weight, styles = randn(3, 4, 6, 5), randn(2, 4, kernel, kernel), randn(3, 4)
    for n in range(3):
        own = weight * styles[n, :, None, None]
        if norm is not None:
            own = norm * own / own.flatten(1).norm(dim=1)[:, None, None, None]
        expected = ops.conv2d_up(x[n, None], own) if up else F.conv2d(x[n, None], own, padding=kernel // 2)
        actual, factors = ops.modulated_conv2d(x, weight, styles, norm, up)
        assert (factors is None) == (norm is None)
        actual = actual if factors is None else actual * factors[:, :, None, None]
        torch.testing.assert_close(actual[n, None], expected, rtol=1e-7, atol=1e-9)


def test_demodulated_filters_have_unit_norm():
    weight, styles = randn(5, 4, 3, 3), 10 * randn(7, 4)
    factors = ops.demodulation(weight.square().sum(dim=(2, 3)), styles, norm=1.0, eps=0.0)
    filters = weight * styles[:, None, :, None, None] * factors[:, :, None, None, None]
    torch.testing.assert_close(filters.flatten(2).norm(dim=2), torch.ones_like(factors))


@pytest.mark.parametrize("up", [False, True])
def test_modulated_conv2d_differentiates_twice(up: bool):
    inputs = [t.requires_grad_() for t in (randn(2, 3, 4, 4), randn(2, 3, 3, 3), randn(2, 3))]

    def call(x, weight, styles):
        y, factors = ops.modulated_conv2d(x, weight, styles, up=up)
        return y * factors[:, :, None, None]

    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


def test_rms_normalize():
    x = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(ops.rms_normalize(x), x / math.sqrt(12.5))


@pytest.mark.parametrize("features", [1, 2])
def test_minibatch_stddev_is_numpy_std(features: int):
    x = randn(6, 4, 2, 3)
    y = ops.minibatch_stddev(x, group=3, features=features)
    assert y.shape == (6, 4 + features, 2, 3)
    torch.testing.assert_close(y[:, :4], x)
    for n in range(6):
        group = x[n % 2 :: 2].numpy()
        for f in range(features):
            channels = slice(f * 4 // features, (f + 1) * 4 // features)
            expected = np.sqrt(group[:, channels].var(axis=0) + 1e-8).mean()
            np.testing.assert_allclose(y[n, 4 + f], np.full((2, 3), expected), rtol=1e-12)


def test_minibatch_stddev_of_a_batch_smaller_than_the_group():
    x = randn(3, 2, 4, 4)
    expected = np.sqrt(x.numpy().var(axis=0) + 1e-8).mean()
    np.testing.assert_allclose(ops.minibatch_stddev(x, group=32)[:, 2], np.full((3, 4, 4), expected))


def test_minibatch_stddev_refuses_a_broken_group():
    with pytest.raises(ValueError, match="6 images .* group of 4"):
        ops.minibatch_stddev(randn(6, 2, 4, 4), group=4)
