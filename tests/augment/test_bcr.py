"""Balanced consistency regularisation against its definition (arXiv:2002.04724, arXiv:2006.06676)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from leangan.augment.bcr import Method
from leangan.plugins.method import DStep
from leangan.runs.methods import bind_all, method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d


class Weighted(torch.nn.Module):
    """D(x, c) = <weights, x> + sum of c, so that logits are known."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(weights)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return (x * self.weights).sum((1, 2, 3))[:, None] + c.sum(1, keepdim=True)


def context(D, t_real, t_fake, c_real, c_fake) -> DStep:
    """A D step whose transform gave t_real and t_fake; the images before it are of no use to bCR."""
    unused = torch.full_like(t_real, torch.nan)
    d_real, d_fake = D(t_real, c_real), D(t_fake, c_fake)
    D.seen.clear()
    return step_of_d(
        D=D,
        transform=lambda x, role: unused,
        c_fake=c_fake,
        t_fake=t_fake,
        d_fake=d_fake,
        c_real=c_real,
        t_real=t_real,
        d_real=d_real,
    )


def shifts(image: np.ndarray, reach: int) -> dict[bytes, tuple[int, int]]:
    """All images shifted by up to `reach` pixels, reflected at the borders, and by how much."""
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    size, moves = image.shape[1], range(2 * reach + 1)
    return {np.ascontiguousarray(padded[:, y : y + size, x : x + size]).tobytes(): (y, x) for y in moves for x in moves}


@pytest.mark.parametrize(
    "size, law",
    [(24, [1 / 6, 2 / 3, 1 / 6]), (32, [0.25, 0.5, 0.25]), (64, [0.125, 0.25, 0.25, 0.25, 0.125])],
)
def test_the_view_shifts_what_d_saw_by_up_to_a_32nd(size, law):
    """U(-s, s) rounded to pixels, s = size / 32; where s is whole, the outermost shifts are half as likely."""
    torch.manual_seed(0)
    image = np.random.default_rng(0).standard_normal((3, size, size)).astype(np.float32)
    t = torch.from_numpy(image).expand(400, -1, -1, -1)
    D, c = Weighted(torch.randn(3, size, size)), torch.zeros(400, 1)
    Method().d_loss(context(D, t, -t, c, c))
    for views, sign in zip(D.seen, (1, -1), strict=True):
        expected = shifts(sign * image, len(law) // 2)
        drawn = [expected[view.numpy().tobytes()] for view in views]
        for values in zip(*drawn, strict=True):
            counts = np.bincount(values, minlength=len(law))
            assert chisquare(counts, 400 * np.array(law)).pvalue > 1e-3


def test_penalty_is_ten_times_both_mean_squared_differences():
    torch.manual_seed(0)
    D = Weighted(torch.randn(3, 32, 32))
    t_real, t_fake = torch.randn(2, 6, 3, 32, 32)
    loss = Method().d_loss(context(D, t_real, t_fake, torch.rand(6, 2), torch.ones(6, 2)))
    # D is linear: the differences are <weights, t - view> whatever the labels, if both sides get the same ones.
    real, fake = ((t - view).numpy() for t, view in zip((t_real, t_fake), D.seen, strict=True))
    weights = D.weights.detach().numpy()
    difference = [np.einsum("nchw,chw->n", delta, weights) for delta in (real, fake)]
    assert any(difference[0]) and any(difference[1])
    assert loss.item() == pytest.approx(10 * sum((d**2).mean() for d in difference), rel=1e-4)
    loss.backward()
    gradient = 20 * sum(np.einsum("n,nchw->chw", d, x) for d, x in zip(difference, (real, fake), strict=True)) / 6
    np.testing.assert_allclose(D.weights.grad.numpy(), gradient, rtol=1e-3, atol=1e-2)


def test_the_two_weights_are_those_of_reals_and_fakes():
    torch.manual_seed(0)
    D, c = Weighted(torch.randn(1, 32, 32)), torch.zeros(8, 1)
    flat, rough = torch.ones(8, 1, 32, 32), torch.randn(8, 1, 32, 32)
    only_real = Method(real_weight=1.0, fake_weight=0.0)
    assert only_real.d_loss(context(D, flat, rough, c, c)).item() == pytest.approx(0, abs=1e-6)
    assert only_real.d_loss(context(D, rough, flat, c, c)).item() > 1


def test_the_loop_hands_over_the_images_that_gave_the_logits(make_spec, make_reals, monkeypatch):
    """With a random transform the view must start from the same draw, in both steps."""
    spec = make_spec(plugins=[("diffaugment", {}), ("bcr", {})])
    torch.manual_seed(0)
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    contexts = []
    for hook in ("g_loss", "d_loss"):
        monkeypatch.setattr(steps.method, hook, lambda ctx: contexts.append(ctx) or 0.0)
    steps.g_step(0, 0)
    before = {name: value.clone() for name, value in steps.D.state_dict().items()}
    steps.d_step(0, 0)
    g_step, d_step = contexts
    assert not torch.equal(g_step.t_fake, g_step.x_fake)
    assert not torch.equal(d_step.t_real, d_step.x_real)
    steps.D.load_state_dict(before)
    with torch.no_grad():
        torch.testing.assert_close(steps.D(g_step.t_fake, None), g_step.d_fake)
        torch.testing.assert_close(steps.D(d_step.t_fake, None), d_step.d_fake)
        torch.testing.assert_close(steps.D(d_step.t_real, None), d_step.d_real)


def test_it_is_paid_in_every_d_step_on_top_of_ada(make_spec, make_reals, monkeypatch):
    assert method_plugins("ada-bcr") == bind_all([("ada", {}), ("bcr", {})])
    steps = Trainer(make_spec("ada-bcr"), make_reals(), torch.device("cpu"))
    paid = []
    bcr = steps.method.methods["bcr"]
    monkeypatch.setattr(bcr, "d_loss", lambda ctx, own=bcr.d_loss: paid.append(own(ctx)) or paid[-1])
    for iteration in range(3):
        steps.d_step(8 * iteration, iteration)
    assert len(paid) == 3 and all(loss.isfinite() and loss.requires_grad for loss in paid)
