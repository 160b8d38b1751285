"""DigGAN against closed forms (arXiv:2211.14694)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.augment.diggan import Method
from leangan.plugins.method import DStep
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d


class Quadratic(torch.nn.Module):
    """D(x, c) = s/2 |x|^2 + <a, x> + sum of c |x|^2, whose slope at x is |(s + 2 sum of c) x + a|."""

    def __init__(self, s: float, a: torch.Tensor) -> None:
        super().__init__()
        self.s, self.a = torch.nn.Parameter(torch.tensor(s)), a

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        square = x.square().sum((1, 2, 3))
        return (self.s / 2 * square + (self.a * x).sum((1, 2, 3)) + c.sum(1) * square)[:, None]


def context(D, t_real, t_fake, c_real, c_fake, cur_nimg: int = 0) -> DStep:
    """A D step whose transform gave t_real and t_fake; the images before it are of no use to DigGAN."""
    unused = torch.full_like(t_real, torch.nan)
    return step_of_d(
        D=D,
        transform=lambda x, role: unused,
        cur_nimg=cur_nimg,
        c_fake=c_fake,
        t_fake=t_fake,
        c_real=c_real,
        t_real=t_real,
    )


def norms(x: torch.Tensor) -> np.ndarray:
    return np.linalg.norm(x.numpy().reshape(len(x), -1), axis=1)


def test_the_gap_is_taken_pair_by_pair_at_the_images_d_sees():
    torch.manual_seed(0)
    t_real, t_fake = torch.randn(2, 5, 3, 8, 8)
    c_real, c_fake = torch.rand(5, 2), torch.rand(5, 2)
    D = Quadratic(0.5, torch.zeros(3, 8, 8))
    loss = Method(weight=20.0).d_loss(context(D, t_real, t_fake, c_real, c_fake))
    real, fake = ((0.5 + 2 * c.numpy().sum(1)) * norms(t) for t, c in ((t_real, c_real), (t_fake, c_fake)))
    assert loss.item() == pytest.approx(20 * ((real - fake) ** 2).mean(), rel=1e-5)
    # The slopes grow by |x| with s, so D learns from the gap.
    gradient = 40 * ((real - fake) * (norms(t_real) - norms(t_fake))).mean()
    assert torch.autograd.grad(loss, D.s)[0].item() == pytest.approx(gradient, rel=1e-4)


def test_a_linear_d_has_no_gap_and_a_flat_one_a_finite_gradient():
    torch.manual_seed(0)
    t_real, t_fake = torch.randn(2, 4, 1, 8, 8)
    no_class = torch.zeros(4, 1)
    for a in (torch.randn(1, 8, 8), torch.zeros(1, 8, 8)):
        D = Quadratic(0.0, a)
        loss = Method().d_loss(context(D, t_real, t_fake, no_class, no_class))
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert torch.autograd.grad(loss, D.s)[0].isfinite()


def test_published_weights_and_interval():
    weights = {
        **{"diggan-biggan": 1000, "diggan-biggan-20": 5000, "diggan-biggan-10": 10_000},
        **{"diffaugment-diggan-biggan": 10, "diffaugment-diggan-biggan-20": 250, "diffaugment-diggan-biggan-10": 1000},
    }
    arguments = {name: dict(method_plugins(name))["diggan"] for name in weights}
    assert arguments == {name: {"weight": weight, "interval": 4} for name, weight in weights.items()}
    assert Method().weight == 1000
    with pytest.raises(ValueError, match="interval is 0; 1 or more D steps"):
        Method(interval=0)


def test_it_is_paid_in_the_first_d_step_of_an_iteration(make_spec, make_reals, monkeypatch):
    spec = make_spec(hyper={"d_steps": 2}, plugins=[("diffaugment", {}), ("diggan", {"interval": 2})])
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    paid = []
    diggan = steps.method.methods["diggan"]
    monkeypatch.setattr(diggan, "d_loss", lambda ctx, own=diggan.d_loss: paid.append(own(ctx)) or paid[-1])
    for step in range(4):
        steps.d_step(8 * step, step // 2)
    assert [loss == 0 for loss in paid] == [False, True, False, True]
    assert paid[0].requires_grad and paid[0].isfinite()
