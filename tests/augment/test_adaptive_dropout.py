"""Adaptive dropout against log-normal noise put in by hand (arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest

from leangan.augment.adaptive_dropout import Method
from leangan.models.stylegan2.layers import Conv, Linear
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer


def networks(make_spec, plugins=(), classes=0):
    torch.manual_seed(0)
    return build_networks(make_spec(plugins=list(plugins)), 3, classes)


def test_the_logarithm_of_the_noise_is_normal_with_deviation_p():
    torch.manual_seed(0)
    noise = Method(p=0.3).noisy(torch.ones(50, 40, 3, 3))
    assert torch.equal(noise, noise[:, :, :1, :1].expand_as(noise)), "pixels of one map share a number"
    assert Method(p=0.3).noisy(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert kstest((noise[:, :, 0, 0].log() / 0.3).flatten().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("make, shape", [(lambda: Conv(4, 6, 3), (2, 4, 8, 8)), (lambda: Linear(4, 6, True), (2, 4))])
def test_noise_comes_before_bias_and_activation(make, shape):
    torch.manual_seed(0)
    layer, x = make(), torch.randn(shape)
    torch.nn.init.normal_(layer.bias)
    layer.before_bias = Method(p=0.5).noisy
    torch.manual_seed(1)
    y = layer(x)
    torch.manual_seed(1)
    noise = torch.exp(0.5 * torch.randn(2, 6))
    if x.ndim == 4:
        linear, noise = F.conv2d(x, layer.weight / 6, padding=1), noise[:, :, None, None]
    else:
        linear = x @ layer.weight.T / 2
    bias = layer.bias.view(-1, *[1] * (x.ndim - 2))
    torch.testing.assert_close(y, 2**0.5 * F.leaky_relu(linear * noise + bias, 0.2), rtol=1e-4, atol=1e-5)


def test_every_layer_but_output_and_label_embedding_has_it(make_spec):
    D = networks(make_spec, [("adaptive_dropout", {})], classes=3)[2]
    noisy = {name for name, layer in D.named_modules() if getattr(layer, "before_bias", None)}
    block = ("conv0", "conv1", "skip")
    assert noisy == {"from_rgb", "conv", "dense"} | {f"blocks.{i}.{part}" for i in (0, 1) for part in block}


def test_no_strength_is_d_as_it_was_and_some_is_not(make_spec):
    x = torch.randn(4, 3, 16, 16)
    plain = networks(make_spec)[2]
    for p, close in ((0.0, True), (0.5, False)):
        D = networks(make_spec, [("adaptive_dropout", {"p": p})])[2]
        D.load_state_dict(plain.state_dict())
        assert torch.allclose(D(x, None), plain(x, None), rtol=1e-4, atol=1e-5) is close


def test_strength_follows_r_t_of_target_06_within_training(make_spec, make_reals):
    torch.manual_seed(0)
    plugins = [("adaptive_dropout", {"p": 0.5, "interval": 1, "tune_kimg": 1})]
    steps = Trainer(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    method = steps.method.methods["adaptive_dropout"]
    assert method.controller.target == 0.6
    steps.d_step(0, 0)
    sign = 1 if method.log()["r_t"] > 0.6 else -1
    assert method.log()["p"] == pytest.approx(0.5 + sign * 8 / 1000)
    assert all(p.isfinite().all() for p in steps.D.parameters())


@pytest.mark.parametrize("other", ["ada", "da", "diffaugment"])
def test_image_augmentation_excludes_it(make_spec, other):
    plugins = [("adaptive_dropout", {}), (other, {})]
    assert repr(other) in refusal(make_spec(plugins=plugins))[1]
    assert refusal(make_spec(plugins=[plugins[0], ("cr", {})])) is None
