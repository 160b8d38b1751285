"""Latent consistency regularisation against its definition (arXiv:2002.04724, arXiv:2006.06676)."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from leangan.augment.zcr import Method
from leangan.plugins.method import DStep, GStep
from leangan.runs.config import configured
from leangan.runs.grid import expand, refusal
from leangan.runs.methods import bind_all, method_preset
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g


class LinearG(torch.nn.Module):
    """G(z, c) = A z as an image of one channel, 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.A = torch.nn.Parameter(torch.randn(8, 16))
        self.seen: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        self.seen.append(z)
        return (z @ self.A).view(-1, 1, 4, 4)


class LinearD(torch.nn.Module):
    """D(x, c) = <a, x>."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(16))

    def forward(self, x: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        return x.flatten(1) @ self.a[:, None]


@pytest.fixture
def contexts() -> tuple[DStep, GStep]:
    """A D step and a G step on the same fakes; the reals are of no use to zCR."""
    torch.manual_seed(0)
    G, D, z = LinearG(), LinearD(), torch.randn(20000, 8)
    x, unused = G(z, None), torch.full((), torch.nan)
    G.seen.clear()
    common = {"G": G, "D": D, "transform": lambda x, role: {"fake_d": 2 * x}[role], "cur_nimg": 0, "z": z}
    fake = x.detach()
    d_step = step_of_d(
        **common,
        x_fake=fake,
        t_fake=2 * fake,
        d_fake=D(2 * fake, None),
    )
    g_step = step_of_g(**common, x_fake=x, reals=lambda: (unused, None))
    return d_step, g_step


def test_the_step_in_z_is_normal_with_deviation_a_tenth(contexts):
    d_step, g_step = contexts
    Method().d_loss(d_step)
    Method().g_loss(g_step)
    steps = [(z - d_step.z).detach() / 0.1 for z in d_step.G.seen]
    assert len(steps) == 2 and not torch.equal(*steps)
    for step in steps:
        assert kstest(step.flatten()[::16].numpy(), "norm").pvalue > 1e-3


def test_d_pays_a_fifth_of_the_mean_squared_difference_of_logits(contexts):
    """D(T(G(z'))) - D(T(G(z))) = 2 a^T A (z' - z), whose square is 4 * 0.1^2 |A a|^2 in expectation."""
    ctx, _ = contexts
    loss = Method().d_loss(ctx)
    G, D = ctx.G, ctx.D
    expected = 0.2 * 4 * 0.01 * (G.A @ D.a).square().sum().item()
    assert loss.item() == pytest.approx(expected, rel=0.05)
    difference = 2 * (G.seen[0] - ctx.z) @ G.A @ D.a
    assert loss.item() == pytest.approx(0.2 * difference.square().mean().item(), rel=1e-4)


def test_g_gains_a_fiftieth_of_the_mean_squared_difference_of_pixels(contexts):
    _, ctx = contexts
    loss = Method().g_loss(ctx)
    expected = -0.02 * 0.01 * ctx.G.A.square().sum().item() / 16
    assert loss.item() == pytest.approx(expected, rel=0.05)
    # Scaling A by s scales the loss by s^2, so that the derivative along A is twice the loss.
    (grad,) = torch.autograd.grad(loss, ctx.G.A)
    assert (grad * ctx.G.A).sum().item() == pytest.approx(2 * loss.item(), rel=1e-4)


def test_ds_penalty_is_no_business_of_g(contexts):
    ctx, _ = contexts
    grads = torch.autograd.grad(Method().d_loss(ctx), [ctx.D.a, ctx.G.A], allow_unused=True)
    assert grads[0].abs().sum() > 0 and grads[1] is None


def own_images(**changes):
    return expand("own-images", configured(**changes))


def test_it_trains_in_32_bits_without_limits_on_maps():
    assert method_preset("zcr") == {"half_resolutions": 0, "conv_clamp": None}
    specs = {spec.method: spec for spec in own_images(methods=["zcr", "none"])}
    assert specs["zcr"].hyper == {**specs["none"].hyper, "half_resolutions": 0, "conv_clamp": None}
    assert specs["zcr"].plugins == bind_all([("zcr", {})]) and refusal(specs["zcr"]) is None


def test_a_preset_key_that_the_backbone_lacks_is_a_reason_to_skip(make_spec):
    status, reason = refusal(make_spec("zcr", of="tiny-biggan", hyper=method_preset("zcr")))
    assert status == "skip" and "'conv_clamp'" in reason and "'biggan'" in reason


def test_one_iteration_on_real_networks(make_spec, make_reals):
    steps = Trainer(make_spec("zcr", hyper=method_preset("zcr")), make_reals(), torch.device("cpu"))
    before = steps.G.w_avg.clone()
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    means = steps.tally.means()
    assert all(abs(value) < 100 for value in means.values()) and not torch.equal(before, steps.G.w_avg)
