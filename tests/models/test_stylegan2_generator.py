"""StyleGAN2's generator: styles, mixing, truncation, noise and the sum of images, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from leangan.models.stylegan2 import Backbone
from leangan.models.stylegan2.layers import Linear, in_few_products
from leangan.training.ema import Ema


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(resolution: int = 16, classes: int = 0, **keys) -> Backbone:
    sizes = {"z_dim": 8, "w_dim": 6, "mapping_layers": 2, "fmap_base": 16, "fmap_max": 4}
    return Backbone({**sizes, **keys}, resolution, channels=3, classes=classes)


def test_styled_layers_are_one_at_4_px_and_two_at_each_higher_resolution():
    assert len(small(8).generator().styled_layers()) == 3
    assert len(small(32).generator().styled_layers()) == 7


def test_styles_mix_only_in_training():
    G = small(32, style_mixing=1.0).generator()
    z = torch.randn(5, G.z_dim)
    assert G.num_ws == 8
    ws = G.eval().styles(z, None)
    assert torch.equal(ws, ws[:, :1].expand_as(ws))

    G.train()
    cuts = set()
    for _ in range(60):
        ws = G.styles(z, None)
        own = (ws == ws[:, :1]).all(dim=2)
        assert torch.equal(own, own[:1].expand_as(own)), "one cut for the whole batch"
        cut = int(own[0].sum())
        assert own[0, :cut].all() and torch.equal(ws[:, cut:], ws[:, cut : cut + 1].expand_as(ws[:, cut:]))
        torch.testing.assert_close(ws[:, 0], G.mapping(z, None))
        cuts.add(cut)
    assert cuts == set(range(1, 8))


def test_every_layer_takes_its_own_w_and_rgb_that_of_the_next_convolution():
    G = small(16).generator()
    taken = {}
    for name, layer in G.named_modules():
        if hasattr(layer, "affine"):
            nn.init.zeros_(layer.affine.bias)
            nn.init.constant_(layer.affine.weight, 1 / 6 / layer.affine.weight_gain)  # the mean of w
            layer.register_forward_pre_hook(lambda _, given, name=name: taken.update({name: given[1]}))
    G.synthesis(torch.arange(6.0)[None, :, None].expand(1, 6, 6))
    layers = ["0.conv1", "0.to_rgb", "1.conv0", "1.conv1", "1.to_rgb", "2.conv0", "2.conv1", "2.to_rgb"]
    for name, w in zip(layers, [0, 1, 1, 2, 3, 3, 4, 5], strict=True):
        styles = taken.pop(f"blocks.{name}")
        torch.testing.assert_close(styles, torch.full_like(styles, w))
    assert not taken


def test_styles_made_together_are_those_of_each_layer():
    """Layers of three widths, their own inputs, first and second derivatives."""
    torch.manual_seed(0)
    layers = [Linear(6, width, bias_init=1.0).double() for width in (4, 8, 4, 4, 8, 3)]
    ws = torch.randn(5, 6, 6, dtype=torch.float64, requires_grad=True)
    found = []
    for make in (in_few_products, lambda layers, inputs: [layer(x) for layer, x in zip(layers, inputs, strict=True)]):
        outputs = make(layers, ws.unbind(1))
        (slope,) = torch.autograd.grad(sum(y.pow(3).sum() for y in outputs), ws, create_graph=True)
        params = [param for layer in layers for param in layer.parameters()]
        found.append([*outputs, slope, *torch.autograd.grad(slope.square().sum(), [ws, *params])])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


def test_style_mixing_probability():
    G = small(8, style_mixing=0.3).generator()
    z = torch.randn(1, G.z_dim)
    mixed = sum(not torch.equal(ws[:, 0], ws[:, -1]) for ws in (G.styles(z, None) for _ in range(500)))
    assert mixed == pytest.approx(150, abs=4 * math.sqrt(500 * 0.3 * 0.7))


def test_w_avg_follows_training_batches_only():
    G = small(style_mixing=0.0, w_avg_decay=0.9).generator()
    expected = np.zeros(6)
    for _ in range(3):
        z = torch.randn(4, G.z_dim)
        G.train()(z, None)
        expected = 0.9 * expected + 0.1 * G.mapping(z, None).detach().numpy().mean(axis=0)
    G.eval()(z, None)
    np.testing.assert_allclose(G.w_avg, expected, rtol=1e-5, atol=1e-6)


def test_truncation():
    G = small(style_mixing=0.0).generator()
    G(torch.randn(4, G.z_dim), None)
    G.eval()
    z = torch.randn(3, G.z_dim)
    full = G(z, None, truncation_psi=1.0, noise_mode="const")
    torch.testing.assert_close(full, G(z, None, noise_mode="const"))
    assert not torch.allclose(full[0], full[1], atol=1e-3)
    mean = G.synthesis(G.w_avg.expand(1, G.num_ws, -1), "const")
    torch.testing.assert_close(G(z, None, truncation_psi=0.0, noise_mode="const"), mean.expand(3, -1, -1, -1))
    halfway = G.synthesis((G.styles(z, None) + G.w_avg) / 2, "const")
    torch.testing.assert_close(G(z, None, truncation_psi=0.5, noise_mode="const"), halfway)


def test_truncation_of_a_conditional_generator_goes_to_the_mean_over_all_labels():
    G = small(classes=3, style_mixing=0.0, w_avg_decay=0.5).generator()
    labels = torch.eye(3)[[0, 0, 0, 1, 2, 2]]
    z = torch.randn(6, G.z_dim)
    G.train()(z, labels)
    torch.testing.assert_close(G.w_avg, G.mapping(z, labels).detach().mean(dim=0) / 2)
    G.eval()
    z = torch.randn(3, G.z_dim)
    mean = G(z, torch.eye(3), truncation_psi=0.0, noise_mode="const")
    torch.testing.assert_close(mean, G.synthesis(G.w_avg.expand(3, G.num_ws, -1), "const"))
    # w moves on the line from the mean through the w of its own label.
    half = G.synthesis(0.7 * G.styles(z, torch.eye(3)) + 0.3 * G.w_avg, "const")
    torch.testing.assert_close(G(z, torch.eye(3), truncation_psi=0.7, noise_mode="const"), half)


def test_truncation_of_the_averaged_generator_takes_the_latest_mean():
    G = small(style_mixing=0.0).generator()
    ema = Ema(G, half_life_kimg=1.0, ramp=None, start_kimg=0)
    for nimg in (0, 8, 16):
        G(torch.randn(8, G.z_dim), None)
        ema.update(G, nimg, 8)
    assert torch.equal(ema.module.w_avg, G.w_avg) and G.w_avg.abs().max() > 0
    image = ema.module(torch.randn(1, G.z_dim), None, truncation_psi=0.0, noise_mode="const")
    torch.testing.assert_close(image, ema.module.synthesis(G.w_avg.expand(1, G.num_ws, -1), "const"))


def test_noise_is_random_unless_const():
    G = small().generator().eval()
    z = torch.randn(2, G.z_dim)
    torch.testing.assert_close(G(z, None), G(z, None, noise_mode="const"))  # strengths start at 0
    with torch.no_grad():
        G.blocks[2].conv1.noise_strength.fill_(0.5)
    assert torch.equal(G(z, None, noise_mode="const"), G(z, None, noise_mode="const"))
    assert not torch.allclose(G(z, None), G(z, None), atol=1e-3)
    torch.manual_seed(7)
    first = G(z, None)
    torch.manual_seed(7)
    assert torch.equal(first, G(z, None))
    with pytest.raises(ValueError, match="noise_mode is 'none'"):
        G(z, None, noise_mode="none")


def test_styled_layer_adds_noise_and_bias_before_the_activation():
    layer = small().generator().blocks[0].conv1
    with torch.no_grad():
        layer.weight.zero_()
        layer.noise_strength.fill_(3.0)
        layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0, 5.0]))
    y = layer(torch.randn(1, 4, 4, 4), torch.randn(1, 4), "const")[0]
    total = 3 * layer.noise_const + layer.bias[:, None, None]
    torch.testing.assert_close(y, math.sqrt(2) * torch.where(total > 0, total, 0.2 * total))


def test_image_is_the_sum_of_upsampled_rgb():
    """With silent convolutions the image is the biases of to_rgb; up-sampling keeps a constant inside."""
    G = small(16).generator().eval()
    with torch.no_grad():
        for index, block in enumerate(G.blocks):
            block.to_rgb.weight.zero_()
            block.to_rgb.bias.fill_(10.0**index)
    x = G(torch.randn(1, G.z_dim), None)
    torch.testing.assert_close(x[:, :, 4:-4, 4:-4], torch.full((1, 3, 8, 8), 111.0))


def test_latents_and_labels_enter_by_direction_only():
    G = small(classes=3, style_mixing=0.0).generator().eval()
    with torch.no_grad():
        G.mapping.embed.bias.zero_()
    z, c = torch.randn(2, G.z_dim), torch.eye(3)[[0, 2]]
    torch.testing.assert_close(G.mapping(5 * z, c), G.mapping(z, c))
    torch.testing.assert_close(G.mapping(z, 5 * c), G.mapping(z, c))
    assert not torch.allclose(G.mapping(z, c), G.mapping(z, c.flip(0)), atol=1e-4)


def test_without_noise_inputs_an_image_depends_on_its_latent_alone():
    torch.manual_seed(0)
    preset = {"z_dim": 8, "w_dim": 8, "fmap_base": 32, "fmap_max": 8, "mapping_layers": 2}
    noisy, plain = (Backbone({**preset, "noise_inputs": on}, 16, 3, 0).generator().eval() for on in (True, False))
    for G in (noisy, plain):
        for name, param in G.named_parameters():
            if "noise_strength" in name:
                torch.nn.init.ones_(param)
    z = torch.randn(2, 8)
    assert torch.equal(plain(z, None), plain(z, None))
    assert not torch.equal(noisy(z, None), noisy(z, None))
    # One strength per styled convolution: 1 at 4 x 4 and 2 at each resolution above.
    count = [sum(p.numel() for p in G.parameters()) for G in (noisy, plain)]
    assert count[0] - count[1] == 5
