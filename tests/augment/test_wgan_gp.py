"""WGAN-GP against closed forms (arXiv:1704.00028, arXiv:1710.10196)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from leangan.augment.wgan_gp import Method
from leangan.models.stylegan2 import Backbone
from leangan.plugins.method import DStep
from leangan.runs.config import configured
from leangan.runs.grid import expand, refusal
from leangan.runs.methods import method_preset
from leangan.runs.presets import presets
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d


class Quadratic(torch.nn.Module):
    """D(x, c) = <a, x> + s/2 |x|^2, whose slope at x is |a + s x|."""

    def __init__(self, a: torch.Tensor, s: float) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(a)
        self.s = s
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        self.seen.append((x, c))
        return ((x * self.a) + self.s / 2 * x.square()).sum((1, 2, 3))[:, None]


def context(D, n: int = 6, factor: float = 1.0) -> DStep:
    """A D step on random images whose transform multiplies by `factor`."""
    x_real, x_fake = torch.randn(n, 3, 8, 8), torch.randn(n, 3, 8, 8)
    c_real, c_fake = torch.rand(n, 2), torch.rand(n, 2)
    t_real, t_fake = factor * x_real, factor * x_fake
    d_real, d_fake = D(t_real, c_real), D(t_fake, c_fake)
    D.seen.clear()
    return step_of_d(
        D=D,
        transform=lambda x, role: {"real": factor * x}[role],
        c_fake=c_fake,
        x_fake=x_fake,
        t_fake=t_fake,
        d_fake=d_fake,
        c_real=c_real,
        x_real=x_real,
        t_real=t_real,
        d_real=d_real,
    )


@pytest.mark.parametrize("factor, target", [(1.0, 1.0), (0.5, 1.0), (1.0, 750.0)])
def test_penalty_of_a_linear_d_is_that_of_its_slope(factor, target):
    """With D(T(x)) = factor <a, x>, the slope by x is factor |a| everywhere."""
    torch.manual_seed(0)
    D = Quadratic(torch.randn(3, 8, 8), s=0.0)
    ctx = context(D, factor=factor)
    loss = Method(target_norm=target).d_loss(ctx)
    slope = factor * np.linalg.norm(D.a.detach().numpy()) / target
    expected = 10 * (slope - 1) ** 2 + 0.001 * np.square(ctx.d_real.detach().numpy()).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # d/da of 10 (factor |a| / target - 1)^2 + 0.001 mean(factor^2 <a, x>^2)
    (grad,) = torch.autograd.grad(loss, D.a)
    of_slope = 20 * (slope - 1) * slope * D.a / D.a.square().sum()
    of_drift = 0.002 * factor * (ctx.d_real[:, :, None, None] * ctx.x_real).mean(0)
    torch.testing.assert_close(grad, (of_slope + of_drift).detach(), rtol=1e-4, atol=1e-5)


def test_the_slope_is_taken_between_reals_and_fakes_with_the_labels_of_the_reals():
    torch.manual_seed(0)
    D = Quadratic(torch.zeros(3, 8, 8), s=0.1)
    ctx = context(D, n=500)
    loss = Method(drift=0.0).d_loss(ctx)
    ((x, c),) = D.seen
    assert torch.equal(c, ctx.c_real)
    mixed, span = (x - ctx.x_fake).detach().flatten(1), (ctx.x_real - ctx.x_fake).flatten(1)
    u = (mixed * span).sum(1) / span.square().sum(1)
    torch.testing.assert_close(mixed, u[:, None] * span, rtol=1e-4, atol=1e-5)
    assert kstest(u.numpy(), "uniform").pvalue > 1e-3
    slope = 0.1 * np.linalg.norm(x.detach().flatten(1).numpy(), axis=1)
    assert loss.item() == pytest.approx(10 * np.square(slope - 1).mean(), rel=1e-5)


def test_a_flat_d_has_a_finite_gradient():
    D = Quadratic(torch.zeros(3, 8, 8), s=0.0)
    loss = Method().d_loss(context(D))
    assert loss.item() == pytest.approx(10)
    assert torch.autograd.grad(loss, D.a)[0].isfinite().all()


def test_wasserstein_losses():
    backbone = Backbone({**presets()["tiny"], "adversarial_loss": "wasserstein"}, 16, 3, 0)
    d_real, d_fake = torch.tensor([[1.0], [4.0]]), torch.tensor([[-3.0], [0.5]])
    assert backbone.d_loss(d_real, d_fake).item() == -1.25 - 2.5
    assert backbone.g_loss(d_fake).item() == 1.25
    with pytest.raises(ValueError, match="adversarial_loss is 'hinge', must be one of .*logistic.*wasserstein"):
        Backbone({"adversarial_loss": "hinge"}, 16, 3, 0)


def test_its_runs_have_the_published_settings_and_no_other_regulariser(make_spec, make_reals):
    config = configured(methods=["wgan-gp", "wgan_gp"])
    specs = {spec.method: spec for spec in expand("demo", config)}
    hyper = specs["wgan-gp"].hyper
    assert (hyper["lr_g"], hyper["lr_d"], hyper["adversarial_loss"]) == (0.001, 0.001, "wasserstein")
    assert (hyper["half_resolutions"], hyper["conv_clamp"]) == (0, None)
    assert refusal(specs["wgan-gp"]) is None
    status, reason = refusal(specs["wgan_gp"])
    assert status == "skip" and "wgan-gp" in reason
    assert refusal(make_spec("wgan_gp", of="tiny-biggan"))[0] == "skip"

    full = {"pl_weight": 2.0, "r1_gamma": 10.0, **method_preset("wgan-gp")}
    steps = Trainer(make_spec("wgan-gp", hyper=full), make_reals(), torch.device("cpu"))
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    means = steps.tally.means()
    assert "r1" not in means and "path_length" not in means
    assert means["loss_d"] > means["d_fake"] - means["d_real"], "no penalty is added to the Wasserstein loss"
    for player in (steps.g_player, steps.d_player):
        group = player.optimizer.param_groups[0]
        assert group["lr"] == 0.001 and group["betas"] == (0.0, 0.99)
