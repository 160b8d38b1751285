"""MixDL against its equations (arXiv:2111.11672), by scipy on a G whose maps are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from scipy.stats import kstest

from leangan.augment.mixdl import Method, gap
from leangan.plugins import pair
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g


class Double(torch.nn.Module):
    """Gives maps and an image, as a block of StyleGAN2 does."""

    def forward(self, x):
        return 2 * x + 1, x


class Tiny(pair.Generator):
    """G(z) = z^2 with the maps 2 z + 1, then z^2; a latent is z + 3."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))
        self.blocks = torch.nn.ModuleList([Double(), torch.nn.Identity()])
        self.rendered: list[torch.Tensor] = []

    def latent(self, z, c):
        return self.one * z + 3

    def render(self, latent, c):
        self.rendered.append(latent)
        z = latent - 3
        self.blocks[0](z)
        return self.blocks[1](z.square())[:, :, None, None]


class Flat(pair.Discriminator):
    """D whose last hidden layer is the image."""

    def features(self, x):
        return x.flatten(1)


def by_hand(y: np.ndarray, w: np.ndarray, K: int) -> float:
    """gap of maps y [2N, d]; the shares follow from latents w [2N, d] of anchors and mixes."""
    n = len(y) // 2
    terms = []
    for image in range(n):
        group = [image % (n // K) + k * (n // K) for k in range(K)]
        c = np.linalg.lstsq(w[group].T, w[n + image], rcond=None)[0]
        assert c.sum() == pytest.approx(1) and c.min() >= 0
        a, b = y[group], y[n + image]
        cosines = a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
        terms.append(rel_entr(softmax(c), softmax(cosines)).sum() / K)
    return float(np.mean(terms))


@pytest.mark.parametrize("K", [2, 4])
def test_g_pays_for_what_its_blocks_make_of_the_mix(K):
    torch.manual_seed(0)
    G = Tiny()
    loss = Method(anchors=K).g_loss(step_of_g(G=G, z=torch.randn(8, 6).double()))
    (latents,) = G.rendered
    w = latents.detach().numpy()
    z = w - 3
    expected = (by_hand(2 * z + 1, w, K) + by_hand(z**2, w, K)) / 2
    assert loss.item() == pytest.approx(1000 * expected, rel=1e-6)


def test_d_pays_for_its_hidden_layer_of_transformed_fakes_and_g_learns_nothing():
    torch.manual_seed(0)
    G, roles = Tiny(), []

    def transform(x, role):
        roles.append(role)
        return (x + 1).requires_grad_()

    z = torch.randn(8, 6).double().requires_grad_()
    loss = Method().d_loss(step_of_d(G=G, D=Flat(), z=z, transform=transform))
    (latents,) = G.rendered
    w = latents.detach().numpy()
    assert loss.item() == pytest.approx(by_hand((w - 3) ** 2 + 1, w, 4), rel=1e-6)
    assert roles == ["fake_d"] and loss.requires_grad and not latents.requires_grad


def test_shares_are_uniform_on_the_simplex_and_their_anchors_are_new():
    """A share of Dirichlet(1, 1, 1, 1) has the distribution 1 - (1 - s)^3."""
    torch.manual_seed(0)
    z = torch.zeros(4000, 2)
    latents, c = Method().anchors_and_mixes(step_of_g(G=Tiny(), z=z))
    latents = latents.detach()
    torch.testing.assert_close(c.sum(-1), torch.ones(4, 1000))
    for share in c.flatten(0, 1).T:
        assert kstest(share.numpy(), lambda s: 1 - (1 - s) ** 3).pvalue > 1e-3
    assert kstest((latents[:4000] - 3)[:, 0].numpy(), "norm").pvalue > 1e-3


def test_there_is_no_gap_where_likeness_is_the_share():
    """Cosines may differ from the shares by a constant: softmax does not see it."""
    c = torch.tensor([[[0.7, 0.3]], [[0.4, 0.6]]]).double()  # two anchors, two mixes
    mixes = torch.cat([c[:, 0], (1 - c[:, 0].square().sum(1, keepdim=True)).sqrt()], dim=1)  # of length 1
    anchors = torch.eye(2, 3).double()
    assert gap([torch.cat([anchors, mixes])], c).item() == pytest.approx(0, abs=1e-12)
    assert gap([torch.cat([anchors, mixes.flip(0)])], c).item() > 0.01


SMALL_BIGGAN = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2, "lr_g": 2e-4, "lr_d": 2e-4}


@pytest.mark.parametrize("preset, hyper", [("tiny", {"r1_gamma": 0.0}), ("tiny-biggan", SMALL_BIGGAN)])
@pytest.mark.parametrize("other", ["none", "ada", "diffaugment"])
def test_real_networks_learn_it(make_spec, make_reals, monkeypatch, preset, hyper, other):
    """Where its loss is the only one, steps of either player on the same latents close that player's gap."""
    torch.manual_seed(0)
    spec = make_spec(hyper=hyper, plugins=[(other, {"p": 0.5} if other == "ada" else {}), ("mixdl", {})], of=preset)
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    mixdl = steps.method.methods["mixdl"]
    for step, name in ((steps.g_step, "g"), (steps.d_step, "d")):
        paid, own = [], getattr(mixdl, f"{name}_loss")
        monkeypatch.setattr(steps.method, f"{name}_adversarial", lambda ctx, loss: 0 * loss)
        monkeypatch.setattr(mixdl, f"{name}_loss", lambda ctx, own=own, paid=paid: paid.append(own(ctx)) or paid[-1])
        for _ in range(8):
            torch.manual_seed(1)
            step(0, 1)
        assert 0 < paid[-1] < 0.9 * paid[0]


def test_it_is_refused_with_labels_and_for_a_batch_of_other_size(make_spec):
    assert refusal(make_spec(plugins=[("mixdl", {})])) is None
    assert "different labels" in refusal(make_spec(plugins=[("mixdl", {})], conditional=True))[1]
    assert "8 images is no multiple of 3 anchors" in refusal(make_spec(plugins=[("mixdl", {"anchors": 3})]))[1]
    with pytest.raises(ValueError, match="anchors is 1; 2 or more"):
        Method(anchors=1)
