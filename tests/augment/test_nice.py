"""NICE against noise and squares put in by hand (NeurIPS 2023)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest
from torch import nn

from leangan.augment.nice import Method
from leangan.core.errors import ConfigError
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import SMALL_BIGGAN
from tests.helpers.steps import step_of_d, step_of_g

CPU = torch.device("cpu")
STYLEGAN2 = {"of": "tiny"}
BIGGAN = {"of": "tiny-biggan", "hyper": SMALL_BIGGAN}
FASTGAN = {"of": "tiny-fastgan", "resolution": 32}


def test_the_noise_is_normal_around_one_with_deviation_beta():
    torch.manual_seed(0)
    noise = Method(beta=0.3).noisy(torch.ones(50, 40, 3, 3))
    assert torch.equal(noise, noise[:, :, :1, :1].expand_as(noise)), "pixels of one map share a number"
    assert kstest(((noise[:, :, 0, 0] - 1) / 0.3).flatten().numpy(), "norm").pvalue > 1e-3
    assert Method(beta=0.3).noisy(torch.ones(2, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "run, first, noisy",
    [
        (STYLEGAN2, 0, {f"blocks.{i}.{name}" for i in (0, 1) for name in ("conv0", "conv1", "skip")}),
        (STYLEGAN2, 1, {f"blocks.1.{name}" for name in ("conv0", "conv1", "skip")}),
        (
            BIGGAN,
            0,
            {f"blocks.{i}.{name}" for i in (0, 1, 2) for name in ("conv0", "conv1", "skip")} - {"blocks.2.skip"},
        ),
    ],
)
def test_all_convolutions_of_the_blocks_have_it(make_spec, run, first, noisy):
    spec = make_spec(plugins=[("nice", {"first_block": first})], **run)
    D = build_networks(spec, 3, 0)[2]
    assert {name for name, layer in D.named_modules() if getattr(layer, "before_bias", None)} == noisy


def test_noise_comes_before_bias_and_activation(make_spec):
    """The second block of BigGAN, written out: y = conv1(relu(conv0(relu(x)))) / pooled + skip(pooled x)."""
    spec = make_spec(plugins=[("nice", {"beta": 0.5})], **BIGGAN)
    torch.manual_seed(0)
    D = build_networks(spec, 3, 0)[2].eval()
    block = D.blocks[1]
    for layer in (block.conv0, block.conv1, block.skip):
        nn.init.normal_(layer.bias)
    x = torch.randn(5, 8, 8, 8)
    torch.manual_seed(1)
    y = block(x)
    torch.manual_seed(1)
    noise = [(1 + 0.5 * torch.randn(5, 16))[:, :, None, None] for _ in range(3)]  # in the order of the calls
    conv0, conv1, skip = (
        lambda h, layer=layer, pad=pad: F.conv2d(h, layer.weight, padding=pad)
        for layer, pad in ((block.conv0, 1), (block.conv1, 1), (block.skip, 0))
    )
    bias0, bias1, bias_skip = (layer.bias[:, None, None] for layer in (block.conv0, block.conv1, block.skip))
    h = F.relu(conv0(F.relu(x)) * noise[0] + bias0)
    h = F.avg_pool2d(conv1(h), 2) * noise[1] + bias1
    expected = h + skip(F.avg_pool2d(x, 2)) * noise[2] + bias_skip
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


class Known(nn.Module):
    """A D whose features are known in advance, one after the other; notes what it is asked about."""

    def __init__(self, *features: torch.Tensor) -> None:
        super().__init__()
        self.waiting, self.asked = list(features), []

    def features(self, x):
        self.asked.append(x)
        return self.waiting.pop(0)


def test_losses_are_the_weighted_mean_squares_of_the_change():
    torch.manual_seed(0)
    width, (t_real, t_fake) = 7, torch.randn(2, 5, 3, 4, 4)
    first = [torch.randn(5, width, requires_grad=True) for _ in range(2)]
    second = [torch.randn(5, width, requires_grad=True) for _ in range(2)]
    change = [(a - b).detach().numpy() for a, b in zip(first, second, strict=True)]
    squares = [np.square(each).sum(1).mean() / width for each in change]
    D = Known(*second)
    f_real, f_fake = first
    loss = Method(weight=3.0).d_loss(step_of_d(D=D, t_real=t_real, t_fake=t_fake, f_real=f_real, f_fake=f_fake))
    assert D.asked[0] is t_real and D.asked[1] is t_fake
    assert loss.item() == pytest.approx(3 * sum(squares), rel=1e-5)
    loss.backward()
    for a, b, each in zip(first, second, change, strict=True):  # through both passes
        np.testing.assert_allclose(a.grad.numpy(), 6 * each / (5 * width), rtol=1e-4)
        np.testing.assert_allclose(b.grad.numpy(), -6 * each / (5 * width), rtol=1e-4)
    D = Known(second[1])
    loss = Method(weight=3.0).g_loss(step_of_g(D=D, t_fake=t_fake, f_fake=f_fake))
    assert D.asked[0] is t_fake and loss.item() == pytest.approx(3 * squares[1], rel=1e-5)


def test_without_noise_there_is_no_change():
    """And with noise that of a second, independent draw: of y e the mean square is 2 beta^2 E y^2."""
    torch.manual_seed(0)
    y = torch.randn(64, 500)
    for beta in (0.0, 0.2):
        method = Method(weight=1.0, beta=beta)
        D = nn.Module()
        D.features = lambda x, method=method: method.noisy(x[:, :, None, None]).flatten(1)
        loss = method.g_loss(step_of_g(D=D, t_fake=y, f_fake=D.features(y)))
        assert loss.item() == pytest.approx(2 * beta**2 * y.square().mean().item(), rel=0.05)


def test_beta_follows_the_share_of_reals_that_d_takes_for_real():
    method, d_fake = Method(beta=0.002, rate=0.001, target=0.5), torch.full((4, 1), torch.nan)
    betas = []
    for positive in (4, 4, 3, 2, 0, 0, 0, 0, 4):  # mean signs 1, 1, 0.5, 0, -1, ...
        logits = torch.tensor([5.0] * positive + [-0.1] * (4 - positive))[:, None]
        method.observe(logits, d_fake, 0)
        betas.append(method.log()["beta"])
    assert betas == pytest.approx([0.003, 0.004, 0.004, 0.003, 0.002, 0.001, 0, 0, 0.001], abs=1e-7)


@pytest.mark.parametrize("run", [STYLEGAN2, BIGGAN], ids=["stylegan2", "biggan"])
def test_one_weight_means_the_same_in_both_backbones(make_spec, run):
    """The mean square of the change of f is that of logits that random outputs of D's kind read from it."""
    torch.manual_seed(0)
    D = build_networks(make_spec(plugins=[("nice", {"beta": 0.2})], **run), 3, 0)[2]
    x = torch.rand(32, 3, 16, 16)
    with torch.no_grad():
        change = D.features(x) - D.features(x)
        logits = torch.cat([head(change) - head(0 * change) for head in (D.head(1) for _ in range(300))], dim=1)
    assert logits.square().mean().item() == pytest.approx(change.square().mean().item(), rel=0.2)


@pytest.mark.parametrize("run", [STYLEGAN2, BIGGAN], ids=["stylegan2", "biggan"])
@pytest.mark.parametrize("others, level", [((), 9), (("ada",), -9), (("diffaugment",), 9)], ids=str)
def test_a_step_compares_two_draws_for_the_images_that_gave_the_logits(
    make_spec, make_reals, monkeypatch, run, others, level
):
    """And moves beta by the sign of these logits, all of which are near `level`."""
    plugins = [*((name, {"p": 0.5} if name == "ada" else {}) for name in others), ("nice", {"beta": 0.4, "rate": 0.01})]
    torch.manual_seed(0)
    steps = Trainer(make_spec(plugins=plugins, **run), make_reals(), CPU)
    nice, paid, seen = steps.method.methods["nice"], [], []
    features, score = steps.D.features, steps.D.score
    monkeypatch.setattr(steps.D, "features", lambda x: seen.append(x) or features(x))
    monkeypatch.setattr(steps.D, "score", lambda f, c: level + score(f, c).tanh())

    def noted(hook, ctx):
        before = len(seen)
        paid.append((hook(ctx), ctx, seen[before:]))
        return paid[-1][0]

    for hook in ("g_loss", "d_loss"):
        monkeypatch.setattr(nice, hook, partial(noted, getattr(nice, hook)))
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    (g_loss, g_ctx, of_g), (d_loss, d_ctx, of_d) = paid
    assert g_loss > 0 and d_loss > 0
    assert of_g[0] is g_ctx.t_fake and len(of_g) == 1
    assert of_d[0] is d_ctx.t_real and of_d[1] is d_ctx.t_fake and len(of_d) == 2
    assert nice.log()["beta"] == pytest.approx(0.41 if level > 0 else 0.39)
    assert all(p.isfinite().all() for network in (steps.G, steps.D) for p in network.parameters())


@pytest.mark.parametrize("run", [STYLEGAN2, BIGGAN, FASTGAN], ids=["stylegan2", "biggan", "fastgan"])
def test_without_noise_only_power_iterations_tell_two_passes_apart(make_spec, run):
    D = build_networks(make_spec(plugins=[("nice", {})], **run), 3, 0)[2]
    x = torch.rand(32, 3, D.resolution, D.resolution)
    with torch.no_grad():
        first, second = D.features(x), D.features(x)
        change = (first - second).square().mean().item()
        D.eval()
        assert torch.equal(D.features(x), D.features(x))
    assert change == 0 if run is STYLEGAN2 else 0 < change < 1e-4 * first.square().mean().item()


def test_in_fastgan_the_second_view_has_no_noise(make_spec):
    D = build_networks(make_spec(plugins=[("nice", {"beta": 0.2})], **FASTGAN), 3, 0)[2].eval()
    x = torch.rand(8, 3, D.resolution, D.resolution)
    with torch.no_grad():
        image, second_view = (D.features(x) - D.features(x)).split(D.widths, dim=1)
    assert image.any(dim=1).all() and not second_view.any()
    assert second_view.shape[1] == D.width / 5


def test_what_it_refuses(make_spec):
    for other in ("adaptive_dropout", "pagan", "chain", "dynamicd", "diffusion_gan"):
        reason = refusal(make_spec(plugins=[("nice", {}), (other, {})]))[1]
        assert f"compares two passes of D, and '{other}' draws anew" in reason
    free = make_spec(plugins=[("nice", {}), ("relativistic", {})], hyper={"r1_gamma": 0.0})
    assert "whose level 'relativistic' leaves free" in refusal(free)[1]
    assert refusal(make_spec("ada-nice")) is None
    for wrong in ({"weight": -1.0}, {"rate": -0.1}, {"beta": -0.1}, {"first_block": -1}, {"target": 1.5}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} is .* allowed: change the method's `{name}`"):
            Method(**wrong)
    with pytest.raises(ConfigError, match="first_block is 2, but D at 16 px has 2 blocks.* 1 at most"):
        build_networks(make_spec(plugins=[("nice", {"first_block": 2})]), 3, 0)
