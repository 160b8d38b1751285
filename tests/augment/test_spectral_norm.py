"""Spectral normalisation against singular values and power iterations in NumPy (arXiv:1802.05957)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal


@pytest.fixture
def D(make_spec):
    torch.manual_seed(0)
    return build_networks(make_spec(plugins=[("spectral_norm", {})]), 3, 0)[2].train()


def tensors(layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(W as a matrix [O, I * 9], u, v), copied."""
    parts = layer.parametrizations.weight
    return tuple(t.detach().double().numpy().copy() for t in (parts.original.flatten(1), parts[0]._u, parts[0]._v))


def test_the_3x3_convolutions_are_normalised_and_nothing_else(D):
    ending = ".parametrizations.weight"
    normalised = {name.removesuffix(ending) for name, _ in D.named_modules() if name.endswith(ending)}
    assert normalised == {"blocks.0.conv0", "blocks.0.conv1", "blocks.1.conv0", "blocks.1.conv1", "conv"}


def test_one_power_iteration_per_call(D):
    layers = [D.blocks[0].conv0, D.blocks[1].conv1, D.conv]
    before = [tensors(layer) for layer in layers]
    x = torch.randn(4, 3, 16, 16)
    D(x, None)
    for layer, (W, u, v) in zip(layers, before, strict=True):
        u = W @ v / np.linalg.norm(W @ v)
        v = W.T @ u / np.linalg.norm(W.T @ u)
        np.testing.assert_allclose(tensors(layer)[1], u, atol=1e-5)
        np.testing.assert_allclose(tensors(layer)[2], v, atol=1e-5)
    after = [tensors(layer) for layer in layers]
    D.eval()(x, None)
    for layer, old in zip(layers, after, strict=True):
        np.testing.assert_array_equal(tensors(layer)[1], old[1])


@pytest.mark.parametrize("place, gain", [("blocks.0.conv0", 2**0.5), ("blocks.0.conv1", 1.0), ("conv", 2**0.5)])
def test_the_layer_convolves_with_the_weight_over_its_largest_singular_value(D, place, gain):
    """`gain` is that of the activation, sqrt(2), times sqrt(1/2) in a residual branch."""
    layer = D.get_submodule(place)
    x = torch.randn(2, layer.weight.shape[1], 8, 8)
    for _ in range(300):
        y = layer(x)
    W = layer.parametrizations.weight.original.detach()
    normalised = W / np.linalg.svd(W.flatten(1).double().numpy(), compute_uv=False)[0]
    if layer.down:
        taps = torch.tensor([1.0, 3, 3, 1]) / 8
        filtered = F.conv2d(x.flatten(0, 1)[:, None], torch.outer(taps, taps)[None, None], padding=2)
        expected = F.conv2d(filtered.view(2, -1, *filtered.shape[2:]), normalised.float(), stride=2)
    else:
        expected = F.conv2d(x, normalised.float(), padding=1)
    torch.testing.assert_close(y, gain * F.leaky_relu(expected, 0.2), rtol=1e-3, atol=1e-4)


def test_the_scale_of_a_weight_plays_no_part(D):
    x = torch.randn(2, D.conv.weight.shape[1], 4, 4)
    D.eval()
    before = D.conv(x)
    with torch.no_grad():
        D.conv.parametrizations.weight.original.mul_(7)
    torch.testing.assert_close(D.conv(x), before)


def test_reals_and_fakes_in_one_step_and_gradients_of_both_orders(D):
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    logits = D(x, None)
    (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    (grad.square().sum() + D(-x, None).sum()).backward()
    for name, parameter in D.named_parameters():
        if name.endswith("original"):
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_other_backbones_are_skipped(make_spec):
    assert refusal(make_spec("spectral_norm")) is None
    assert "part d_layers), which the backbone 'biggan'" in refusal(make_spec("spectral_norm", of="tiny-biggan"))[1]
