"""AdvAug against closed forms, what it leaves as it was, and where it makes no sense (arXiv:2103.00397)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from leangan.augment.advaug import Method
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g

BIGGAN = {"g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "batch": 8, "d_steps": 1}


class Quadratic(nn.Module):
    """D whose logit of features f and a label c is sum_k (a_k + c) f_k + b_k f_k^2 / 2."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(5, dtype=torch.float64))
        self.b = nn.Parameter(torch.randn(5, dtype=torch.float64))

    def score(self, features, c):
        return ((self.a + c) * features + self.b * features.square() / 2).sum(1, keepdim=True)


def hinge(d_real, d_fake):
    return (1 - d_real).clamp(min=0).mean() + (1 + d_fake).clamp(min=0).mean()


@pytest.mark.parametrize("direction, of_real, of_fake", [("released", 1, 1), ("adversarial", -1, 1)])
def test_d_learns_from_features_a_step_along_the_sign_of_the_logits_gradient(direction, of_real, of_fake):
    D, step = Quadratic(), 0.3
    f_real, f_fake = (f.requires_grad_() for f in torch.randn(2, 8, 5, dtype=torch.float64).unbind())
    c_real, c_fake = torch.randn(2, 8, 1, dtype=torch.float64).unbind()
    ctx = step_of_d(D=D, f_real=f_real, f_fake=f_fake, c_real=c_real, c_fake=c_fake, criterion=hinge)
    clean = torch.tensor(7.0, dtype=torch.float64)
    loss = Method(d_step=step, direction=direction).d_adversarial(ctx, clean)

    a, b = D.a.detach().numpy(), D.b.detach().numpy()
    terms, by_a = [], 0
    for f, c, towards, sign in ((f_real, c_real, of_real, -1), (f_fake, c_fake, of_fake, 1)):
        f, c = f.detach().numpy(), c.numpy()
        moved = f + towards * step * np.sign(a + c + b * f)
        logits = ((a + c) * moved + b * moved**2 / 2).sum(1)
        terms.append(np.maximum(1 + sign * logits, 0).mean())
        counts = sign * (1 + sign * logits > 0)[:, None] / len(f) / 2
        # The gradient passes the features, where the loss lies at the moved ones, and not the sign.
        (by_f,) = torch.autograd.grad(loss, f_real if sign < 0 else f_fake, retain_graph=True)
        np.testing.assert_allclose(by_f.numpy(), counts * (a + c + b * moved), rtol=1e-9, atol=1e-12)
        by_a = by_a + (counts * moved).sum(0)
    assert loss.item() == pytest.approx((7 + sum(terms)) / 2, rel=1e-9)
    np.testing.assert_allclose(torch.autograd.grad(loss, D.a)[0].numpy(), by_a, rtol=1e-9)


class Block(nn.Module):
    """Squares w times its maps, and gives more than maps, as blocks may."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

    def forward(self, maps, label):
        return (self.w * maps).square(), label


class Squares(nn.Module):
    """G(z, c) = (w A z)^2 + c, image by image, of which A z enters the first block."""

    def __init__(self) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.randn(12, dtype=torch.float64))
        self.blocks = nn.ModuleList([Block()])

    def forward(self, z, c):
        maps, label = self.blocks[0](z * self.A, c)
        return (maps + label).view(-1, 3, 2, 2)


@pytest.mark.parametrize("direction, towards", [("released", 1), ("adversarial", -1)])
def test_g_learns_from_images_of_moved_maps(direction, towards):
    G, step = Squares(), 0.2
    weight = torch.randn(12, dtype=torch.float64)

    def D(x, c):
        return (x.flatten(1) * weight).sum(1, keepdim=True) + 3 * c

    z, c = torch.randn(6, 12, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    ctx = step_of_g(
        G=G,
        D=D,
        z=z,
        c_fake=c,
        transform=lambda x, role: {"fake_g": 2 * x}[role],
        criterion=lambda d: nn.functional.softplus(-d).mean(),
    )
    before = G(z, c)
    loss = Method(g_step=step, direction=direction).g_adversarial(ctx, torch.tensor(5.0, dtype=torch.float64))
    assert torch.equal(G(z, c), before), "what it changed in G for its passes is still there"

    maps, w = z.numpy() * G.A.detach().numpy(), 1.5
    moved = maps + towards * step * np.sign(weight.numpy() * maps)  # the slope is 4 w^2 weight A z
    logits = (2 * ((w * moved) ** 2 + c.numpy()) @ weight.numpy()) + 3 * c.numpy()[:, 0]
    assert loss.item() == pytest.approx((5 + np.log1p(np.exp(-logits)).mean()) / 2, rel=1e-7)
    by_logit = -1 / (1 + np.exp(logits)) / 6 / 2
    by_A, by_w = torch.autograd.grad(loss, [G.A, G.blocks[0].w])
    wanted = (by_logit[:, None] * 4 * w**2 * weight.numpy() * moved * z.numpy()).sum(0)
    np.testing.assert_allclose(by_A.numpy(), wanted, rtol=1e-7)  # torch's softplus is linear from 20 on
    assert by_w.item() == pytest.approx((by_logit * (4 * w * moved**2 @ weight.numpy())).sum(), rel=1e-7)


def test_a_step_of_0_leaves_that_players_loss():
    loss = torch.tensor(3.0)
    assert Method(d_step=0).d_adversarial(step_of_d(), loss) is loss
    assert Method(g_step=0).g_adversarial(step_of_g(), loss) is loss


@pytest.mark.parametrize("direction, of_real", [("released", 1), ("adversarial", -1)])
def test_logits_of_stylegan2_move_by_the_sum_of_its_last_weights(
    make_spec, make_reals, monkeypatch, direction, of_real
):
    """Its output is linear, so that a step along the sign moves each logit by the step times |w|_1."""
    spec = make_spec(plugins=[("advaug", {"d_step": 0.05, "direction": direction})])
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    seen, own = [], steps.backbone.d_loss
    monkeypatch.setattr(steps.backbone, "d_loss", lambda real, fake: seen.append((real, fake)) or own(real, fake))
    weight = steps.D.output.weight.detach().numpy() / np.sqrt(steps.D.width)
    steps.d_step(0, 1)
    (real, fake), (moved_real, moved_fake) = ([each.detach().numpy() for each in pair] for pair in seen)
    np.testing.assert_allclose(moved_real, real + of_real * 0.05 * np.abs(weight).sum(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved_fake, fake + 0.05 * np.abs(weight).sum(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("of", ["tiny", "tiny-biggan"])
def test_the_4_by_4_maps_that_enter_synthesis_are_those_moved(make_spec, make_reals, monkeypatch, of):
    """In both backbones, by exactly the step, once in a G step; BigGAN's are what its first dense layer gives."""
    spec = make_spec(plugins=[("advaug", {"g_step": 0.125})], of=of, hyper=BIGGAN if of == "tiny-biggan" else {})
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    entered, given = [], []
    block, own = steps.G.blocks[0], type(steps.G.blocks[0]).forward
    monkeypatch.setattr(block, "forward", lambda x, *rest: entered.append(x.detach()) or own(block, x, *rest))
    if of == "tiny-biggan":
        steps.G.dense.register_forward_hook(lambda layer, inputs, out: given.append(out.detach().view(8, -1, 4, 4)))
    else:
        given = [steps.G.const.detach().clone().expand(8, -1, 4, 4)] * 3
    steps.g_step(0, 1)
    assert len(entered) == len(given) == 3 and not block._forward_pre_hooks
    distances = [(a - b).abs() for a, b in zip(entered, given, strict=True)]
    assert [distance.max().item() for distance in distances[:2]] == [0, 0]
    moved = distances[2][distances[2] > 0.01]  # the logit need not depend on all
    assert len(moved) > 0.9 * distances[2].numel()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.125))


@pytest.mark.parametrize("of", ["tiny", "tiny-biggan"])
@pytest.mark.parametrize("other", ["ada", "diffaugment"])
@pytest.mark.parametrize("conditional", [False, True])
def test_it_trains_with_augmentation_and_labels(make_spec, make_reals, monkeypatch, of, other, conditional):
    """In each step half of the loss comes from moved features, is not the backbone's, and moves every weight.

    In D's step it is the larger half, since both kinds are moved to where D errs.
    """
    torch.manual_seed(0)
    plugins = [(other, {"p": 0.5} if other == "ada" else {}), ("advaug", {"direction": "adversarial"})]
    hyper = BIGGAN if of == "tiny-biggan" else {}
    spec = make_spec(plugins=plugins, of=of, hyper=hyper, conditional=conditional)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(conditional=conditional), torch.device("cpu"))
    advaug, added = steps.method.methods["advaug"], {"g_adversarial": [], "d_adversarial": []}

    def halves(hook, player, kept, ctx, loss):
        """Keeps the two halves of what the hook gives, and the gradients of the half that comes from moved features."""
        whole = hook(ctx, loss)
        moved = whole - loss / 2
        weights = [param for param in player.params if param.ndim > 1]
        kept.append((loss / 2, moved, torch.autograd.grad(moved, weights, retain_graph=True)))
        return whole

    for (name, kept), player in zip(added.items(), (steps.g_player, steps.d_player), strict=True):
        monkeypatch.setattr(advaug, name, partial(halves, getattr(advaug, name), player, kept))
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    assert all(np.isfinite(value) for value in steps.tally.means().values())
    for kept in added.values():
        assert len(kept) == 2
        for plain, moved, gradients in kept:
            assert moved.isfinite() and abs(moved - plain) > 1e-5
            assert kept is added["g_adversarial"] or moved > plain
            assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_g_is_as_it_was_so_that_snapshots_need_no_file(make_spec):
    *_, method = build_networks(make_spec("advaug"), 3, 0)
    assert method.of_generator == []


def test_where_it_makes_no_sense(make_spec):
    def reason(*plugins, **changes) -> str | None:
        return Method.skip(make_spec(plugins=[*plugins, ("advaug", {})], **changes))

    assert reason() is None and reason(("ada", {})) is None and reason(("lecam", {})) is None
    assert "both decide on the adversarial loss" in reason(("relativistic", {}), hyper={"r1_gamma": 0.0})
    assert "PA-GAN" in reason(("pagan", {}))


def test_arguments():
    with pytest.raises(ValueError, match="unknown direction 'release'.*'released'.*`direction`"):
        Method(direction="release")
    with pytest.raises(ValueError, match="g_step is -0.1; 0 or more are allowed: change the method's `g_step`"):
        Method(g_step=-0.1)


CIFAR, IMAGENET = 0.01, 0.001  # the paper's steps by data set, sec. 4; those of CIFAR are its default


@pytest.mark.parametrize(
    "entry, step",
    [("advaug", CIFAR), ("advaug-imagenet", IMAGENET), ("ada-advaug", CIFAR), ("diffaugment-advaug", CIFAR)],
)
def test_entries_have_the_steps_of_the_paper_and_the_signs_of_the_release(entry, step):
    arguments = dict(method_plugins(entry))["advaug"]
    assert arguments == {"d_step": step, "g_step": step, "direction": "released"}
