"""The relativistic pairing loss with R1 and R2 against closed forms and its dynamics (arXiv:2501.05441)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.augment.relativistic import Method
from leangan.plugins.method import DStep, GStep
from leangan.plugins.trial import try_hooks
from leangan.runs.config import configured
from leangan.runs.grid import expand, refusal
from leangan.runs.methods import method_preset
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g


class Linear(torch.nn.Module):
    """D(x, c) = <a, x>, of slope |a|."""

    def __init__(self, a: torch.Tensor) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(a)

    def forward(self, x: torch.Tensor, c: None) -> torch.Tensor:
        return (x * self.a).sum((1, 2, 3))[:, None]


FACTORS = {"real": 0.5, "fake_d": 0.25, "fake_g": 2.0}
"""The transform multiplies images by a factor that tells their role."""


def transform(x: torch.Tensor, role: str) -> torch.Tensor:
    return FACTORS[role] * x


def d_context(D, transform, cur_nimg: int, x_real, x_fake) -> DStep:
    """A D step; logits of the backbone's loss and the images they are of have no meaning to this one."""
    return step_of_d(
        D=D,
        transform=transform,
        cur_nimg=cur_nimg,
        x_fake=x_fake,
        x_real=x_real,
    )


def g_context(D, transform, cur_nimg: int, x_real, x_fake) -> GStep:
    """A G step on the fakes, compared with these reals."""
    t_fake = transform(x_fake, "fake_g")
    return step_of_g(
        D=D,
        transform=transform,
        cur_nimg=cur_nimg,
        x_fake=x_fake,
        t_fake=t_fake,
        d_fake=D(t_fake, None),
        reals=lambda: (x_real, None),
    )


def softplus(t: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(t))


def test_losses_and_gradients_with_a_linear_d():
    torch.manual_seed(0)
    D = Linear(torch.randn(3, 8, 8) / 10)
    x_real, x_fake = torch.randn(2, 6, 3, 8, 8)
    x_fake.requires_grad_()
    a, real, fake = (each.detach().numpy().reshape(-1, 192) for each in (D.a, x_real, x_fake))
    unused = torch.full((), torch.nan)
    method = Method(gamma=3.0, final_gamma=1.0, burn_in_kimg=0.008)

    # D's step, a quarter of the way into the burn-in: gamma = 1 + 2 (1 + cos(pi/4)) / 2.
    loss = method.d_adversarial(d_context(D, transform, 2, x_real, x_fake), unused)
    gap = (0.25 * fake - 0.5 * real) @ a[0]
    gamma = 2 + np.sqrt(0.5)
    slope = np.linalg.norm(a)
    expected = softplus(gap).mean() + gamma / 2 * ((0.5 * slope) ** 2 + (0.25 * slope) ** 2)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    by_gap = ((0.25 * fake - 0.5 * real) / (1 + np.exp(-gap))[:, None]).mean(0)
    by_slope = gamma * (0.5**2 + 0.25**2) * a[0]
    np.testing.assert_allclose(torch.autograd.grad(loss, D.a)[0].flatten().numpy(), by_gap + by_slope, rtol=1e-4)

    # G's step: reals come from `reals`, fakes have been seen already.
    loss = method.g_adversarial(g_context(D, transform, 2, x_real, x_fake), unused)
    gap = (0.5 * real - 2 * fake) @ a[0]
    assert loss.item() == pytest.approx(softplus(gap).mean(), rel=1e-5)
    by_fake = -2 * a / (1 + np.exp(-gap))[:, None] / len(fake)
    gradient = torch.autograd.grad(loss, x_fake)[0].flatten(1).numpy()
    np.testing.assert_allclose(gradient, by_fake, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("cur_kimg, gamma", [(0, 0.05), (5_000, 0.0434099), (10_000, 0.0275), (20_000, 0.005)])
def test_gamma_of_cifar_falls_along_half_a_cosine_and_stays(cur_kimg, gamma):
    assert Method().gamma_at(cur_kimg * 1000) == pytest.approx(gamma, rel=1e-5)
    assert Method().gamma_at(250_000_000) == 0.005
    assert Method(burn_in_kimg=0).gamma_at(0) == 0.005


@pytest.mark.parametrize("gamma", [0.0, 0.25, 1.0])
def test_dynamics_on_a_point_mass_are_those_of_the_paper(gamma):
    """Data at 0, G at theta, D(x) = psi x. Near the equilibrium at 0, both softplus have the slope 1/2, and R1 + R2 is
    gamma psi^2: (theta, psi)' = ((0, 1/2), (-1/2, -2 gamma)) (theta, psi), whose eigenvalues are -gamma +-
    sqrt(gamma^2 - 1/4) (appendix B, for one penalty). Without penalty they are imaginary, and training runs in circles.
    """
    method, x_real = Method(gamma, gamma), torch.zeros(1, 1, 1, 1)

    def field(theta: float, psi: float) -> np.ndarray:
        D, x_fake = Linear(torch.full((1, 1, 1), psi)), torch.full((1, 1, 1, 1), theta, requires_grad=True)
        d_step, g_step = (context(D, lambda x, role: x, 0, x_real, x_fake) for context in (d_context, g_context))
        (by_psi,) = torch.autograd.grad(method.d_adversarial(d_step, x_real.sum()), D.a)
        (by_theta,) = torch.autograd.grad(method.g_adversarial(g_step, x_real.sum()), x_fake)
        return -np.array([by_theta.item(), by_psi.item()])

    h = 1e-3
    jacobian = np.stack(
        [(field(h, 0.0) - field(-h, 0.0)) / (2 * h), (field(0.0, h) - field(0.0, -h)) / (2 * h)], axis=1
    )
    root = np.sqrt(complex(gamma**2 - 0.25))
    expected = np.sort_complex([-gamma - root, -gamma + root])
    np.testing.assert_allclose(np.sort_complex(np.linalg.eigvals(jacobian)), expected, atol=1e-4)


def test_it_replaces_the_backbones_loss_and_all_else_stays(make_spec, make_reals, monkeypatch):
    """The reals that G is compared with are those of the D step to come; the hooks pass the trial."""
    spec = make_spec("relativistic", hyper={**method_preset("relativistic"), "pl_weight": 2.0})
    assert refusal(spec) is None
    try_hooks(spec, make_reals(), torch.device("cpu"))
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    contexts, losses = [], []
    for hook in ("g_adversarial", "d_adversarial"):
        own = getattr(steps.method, hook)

        def noted(ctx, loss, own=own):
            contexts.append(ctx)
            losses.append(own(ctx, loss).detach())
            return own(ctx, loss)

        monkeypatch.setattr(steps.method, hook, noted)
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    assert torch.equal(contexts[2].reals()[0], contexts[3].x_real)
    means = steps.tally.means()
    assert means["loss_g"] == pytest.approx(float(losses[0] + losses[2]) / 2, rel=1e-5)
    assert means["loss_d"] == pytest.approx(float(losses[1] + losses[3]) / 2, rel=1e-5)
    assert "path_length" in means and "r1" not in means


def test_where_it_makes_no_sense(make_spec):
    config = configured(methods=["relativistic"])
    published = next(spec for spec in expand("demo", config) if spec.method == "relativistic")
    assert refusal(published) is None and published.hyper["r1_gamma"] == 0

    def reason(*plugins, **changes) -> str | None:
        spec = make_spec(plugins=[*plugins, ("relativistic", {})], **{"hyper": {"r1_gamma": 0.0}, **changes})
        return Method.skip(spec)

    assert reason(("diffaugment", {})) is None and reason(("da", {}), ("lecam", {})) is None
    assert reason(("ada", {"heuristic": "rv"})) is None and reason(("ada", {"heuristic": "linear"})) is None
    assert "'ada' goes by the sign" in reason(("ada", {})) and "'apa' goes" in reason(("apa", {}))
    assert "loss of its own" in reason(("wgan_gp", {}))
    assert "r1_gamma to 0" in reason(hyper={"r1_gamma": 0.05})
    assert "one class" in reason(conditional=True)
