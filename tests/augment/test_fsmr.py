"""FSMR against statistics mixed by hand (arXiv:2112.04120)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import nn

from leangan.augment.fsmr import Method
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d

CPU = torch.device("cpu")


def mixed(h: np.ndarray, a: float, others: list[int]) -> np.ndarray:
    """Maps h [N, K, H, W], map by map, in part with the mean and the deviation of the map of another image."""
    out = np.empty_like(h)
    for n, k in itertools.product(*map(range, h.shape[:2])):
        own, other = h[n, k], h[others[n], k]
        styled = (own - own.mean()) / np.sqrt(own.var() + 1e-5) * np.sqrt(other.var() + 1e-5) + other.mean()
        out[n, k] = a * own + (1 - a) * styled
    return out


class Mixer(nn.Module):
    """D(x, c) = <weights, maps that the method has mixed> + sum of c."""

    def __init__(self, method: Method, weights: torch.Tensor) -> None:
        super().__init__()
        self.method, self.weights = method, nn.Parameter(weights)
        self.drawn: list[tuple[torch.Tensor, torch.Tensor] | None] = []

    def forward(self, x, c):
        self.drawn.append(self.method.drawn)
        return (self.method.mixed(x) * self.weights).sum((1, 2, 3))[:, None] + c.sum(1, keepdim=True)


def mix_sum(mix: Callable, block: nn.Module, inputs: tuple, h: torch.Tensor) -> torch.Tensor:
    """A forward hook."""
    return mix(h)


def test_maps_take_the_statistics_of_another_image_in_part():
    torch.manual_seed(0)
    method, others = Method(), [2, 0, 1, 3]
    h = torch.randn(4, 3, 5, 6, dtype=torch.float64) * torch.rand(4, 3, 1, 1) + torch.randn(4, 3, 1, 1)
    h[0, 0] = 2.0  # a flat map, whose deviation is that of 1e-5 alone
    method.drawn = torch.tensor(0.3, dtype=torch.float64), torch.tensor(others)
    np.testing.assert_allclose(method.mixed(h).numpy(), mixed(h.numpy(), 0.3, others), rtol=1e-9)


def test_gradients_of_both_orders_pass_through_all_statistics():
    torch.manual_seed(0)
    method = Method()
    method.drawn = torch.tensor(0.3, dtype=torch.float64), torch.tensor([1, 2, 0])
    h = torch.randn(3, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(method.mixed, h) and torch.autograd.gradgradcheck(method.mixed, h)


def test_statistics_of_16_bit_maps_have_32():
    torch.manual_seed(0)
    method, others = Method(), [1, 0]
    h = (torch.tensor([100.0, -50.0])[:, None, None, None] + torch.randn(2, 4, 64, 64)).bfloat16()
    h[1] *= 4
    method.drawn = torch.tensor(0.0), torch.tensor(others)
    out = method.mixed(h)
    expected = torch.from_numpy(mixed(h.double().numpy(), 0.0, others)).bfloat16()
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected.float(), rtol=2**-7, atol=0.01)  # a unit in the last place


def test_every_pass_draws_one_permutation_and_one_share():
    torch.manual_seed(0)
    method = Method()
    x, permutations, shares = torch.zeros(4, 3, 8, 8), Counter(), []
    for _ in range(2400):
        with method.mixing(x):
            a, others = method.drawn
        permutations[tuple(others.tolist())] += 1
        shares.append(a.item())
    assert set(permutations) == set(itertools.permutations(range(4)))
    assert chisquare(list(permutations.values())).pvalue > 1e-3
    assert kstest(shares, "uniform").pvalue > 1e-3


def test_the_loss_is_the_weighted_mean_square_of_the_difference():
    torch.manual_seed(0)
    method = Method(weight=0.7)
    D = Mixer(method, torch.randn(3, 4, 4))
    t_real, c_real = torch.randn(5, 3, 4, 4), torch.rand(5, 2)
    d_real = D(t_real, c_real)
    loss = method.d_loss(step_of_d(D=D, t_real=t_real, c_real=c_real, d_real=d_real))
    plain, (a, others) = D.drawn
    assert plain is None and method.drawn is None
    change = t_real.double().numpy() - mixed(t_real.double().numpy(), a.item(), others.tolist())
    difference = np.einsum("nkhw,khw->n", change, D.weights.detach().double().numpy())
    assert loss.item() == pytest.approx(0.7 * np.square(difference).mean(), rel=1e-4)
    loss.backward()
    gradient = 1.4 * np.einsum("n,nkhw->khw", difference, change) / 5  # of both passes
    np.testing.assert_allclose(D.weights.grad.numpy(), gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "resolution, architecture, first",
    [(16, "resnet", []), (32, "resnet", ["from_rgb"]), (32, "orig", ["from_rgb"])],
)
def test_convolutions_and_sums_mix_and_skips_and_dense_layers_do_not(make_spec, resolution, architecture, first):
    """The logits of the second pass are those of a D that mixes, in this order, at the places named here."""
    spec = make_spec(plugins=[("fsmr", {})], resolution=resolution, hyper={"d_architecture": architecture})
    torch.manual_seed(0)
    _, _, D, method = build_networks(spec, 3, 0)
    plain = build_networks(make_spec(resolution=resolution, hyper={"d_architecture": architecture}), 3, 0)[2].double()
    with torch.no_grad():
        for param in D.parameters():
            param += 0.3 * torch.randn_like(param)
    D.double(), plain.load_state_dict(D.state_dict())
    x = torch.randn(8, 3, resolution, resolution, dtype=torch.float64)
    torch.testing.assert_close(D(x, None), plain(x, None))

    fsmr, places = method.methods["fsmr"], []

    def mixing_at(name):
        def mix(h):
            places.append(name)
            a, others = fsmr.drawn
            return torch.from_numpy(mixed(h.numpy(), a.item(), others.tolist()))

        return mix

    convolutions = [f"blocks.{i}.{name}" for i in range(len(D.blocks)) for name in ("conv0", "conv1")]
    for name in [*first, *convolutions, "conv"]:
        plain.get_submodule(name).before_bias = mixing_at(name)
    for i, block in enumerate(plain.blocks):
        if architecture == "resnet":
            block.register_forward_hook(partial(mix_sum, mixing_at(f"sum {i}")))
    with torch.no_grad(), fsmr.mixing(x):
        found, expected = D(x, None), plain(x, None)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)  # a is a float32
    assert not torch.allclose(found, D(x, None), rtol=1e-3)
    assert places[: len(first)] == first and places[-1] == "conv"
    assert len(places) == len(first) + len(D.blocks) * (3 if architecture == "resnet" else 2) + 1


def test_nothing_is_mixed_after_a_pass_that_failed(make_spec):
    torch.manual_seed(0)
    _, _, D, method = build_networks(make_spec(plugins=[("fsmr", {})]), 3, 0)
    x = torch.randn(4, 3, 16, 16)
    before = D(x, None)
    with pytest.raises(RuntimeError, match="channels"):
        method.d_loss(step_of_d(D=D, t_real=torch.zeros(4, 5, 16, 16), d_real=before))
    assert torch.equal(D(x, None), before)


@pytest.mark.parametrize("entry", ["fsmr", "ada-fsmr", "diffaugment-fsmr"])
def test_a_step_mixes_once_the_reals_that_gave_the_logits(make_spec, make_reals, monkeypatch, entry):
    """Not the fakes, not in G's step, not with the regulariser and not for held-out images."""
    torch.manual_seed(0)
    steps = Trainer(make_spec(entry), make_reals(), CPU)
    fsmr, passes, paid = steps.method.methods["fsmr"], [], []
    assert fsmr.weight == 0.05
    steps.D.register_forward_pre_hook(lambda D, inputs: passes.append((inputs[0], fsmr.drawn is not None)))
    d_loss = fsmr.d_loss
    monkeypatch.setattr(fsmr, "d_loss", lambda ctx: paid.append((d_loss(ctx), ctx)) or paid[-1][0])
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    steps.validate(8, 0)
    ((loss, ctx),) = paid
    assert loss > 0 and loss.requires_grad
    (images,) = [x for x, mixing in passes if mixing]
    assert images is ctx.t_real and len(passes) > 2
    assert all(p.isfinite().all() for p in steps.D.parameters())


def test_what_it_refuses(make_spec):
    for other in ("pagan", "adaptive_dropout", "chain", "dynamicd", "diffusion_gan", "adaptivemix"):
        reason = refusal(make_spec(plugins=[("fsmr", {}), (other, {})]))[1]
        assert f"compares two passes of D, and '{other}' draws anew" in reason
    assert refusal(make_spec("ada-fsmr")) is None
    with pytest.raises(ValueError, match="weight is -1.0; 0 or more is allowed: change the method's `weight`"):
        Method(weight=-1.0)
