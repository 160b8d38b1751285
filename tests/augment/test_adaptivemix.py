"""AdaptiveMix against its equations (arXiv:2303.01559, as its authors released it), by hand and by numpy."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest

from leangan.augment.adaptivemix import Method
from leangan.plugins import pair
from leangan.plugins.method import DStep, Networks
from leangan.plugins.notes import collected
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g

CPU = torch.device("cpu")


class Tiny(pair.Discriminator):
    """D(x) = <v, 2 embed(x)> + 0.5 with embed(x) = max(W x, 0), which is doubled in place, as BigGAN's is cut at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 5
        self.blocks = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(12, 5, bias=False), torch.nn.ReLU(), torch.nn.Unflatten(1, (5, 1, 1))
        )
        self.output = torch.nn.Linear(5, 1)
        torch.nn.init.constant_(self.output.bias, 0.5)

    def features(self, x):
        return self.blocks(x).mul_(2.0).flatten(1)

    def score(self, features, c):
        return self.output(features)


@pytest.fixture
def mixing(make_spec):
    """A function (**arguments) -> a tiny D, which mixes, and the method."""

    def make(**arguments):
        D, method = Tiny().double(), Method(**arguments)
        method.prepare(Networks(None, D, make_spec()))
        return D, method

    return make


def by_hand(D: Tiny, x: torch.Tensor, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logits, embed of the mixed images, and the mixed embeddings."""
    W, v = D.blocks[1].weight.detach().numpy(), D.output.weight.detach().numpy()[0]
    flat = x.detach().numpy().reshape(len(x), -1)
    partner = (np.arange(len(x)) + len(x) // 2) % len(x)
    m = np.maximum((lam * flat + (1 - lam) * flat[partner]) @ W.T, 0)
    embedded = np.maximum(flat @ W.T, 0)
    mixed = lam * embedded + (1 - lam) * embedded[partner]
    return 2 * mixed @ v + 0.5 + 2 * m @ v + 0.5, m, mixed


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def drawn(n: int, seed: int = 3) -> np.ndarray:
    """lam of each of n images, drawn first of all."""
    torch.manual_seed(seed)
    return torch.rand(n, 1, 1, 1).double().numpy().reshape(n, 1)


def test_logits_of_mixed_images_and_of_mixed_embeddings_are_summed(mixing):
    D, _ = mixing(noise_std=0.0)
    x = torch.randn(8, 3, 2, 2).double()
    lam = drawn(8)
    torch.manual_seed(3)
    with collected() as notes:
        logits = D(x, None)
    expected, m, mixed = by_hand(D, x, lam)
    np.testing.assert_allclose(logits[:, 0].detach().numpy(), expected, rtol=1e-6)
    assert notes["adaptivemix"][0].item() == pytest.approx(cosine(m, mixed).mean(), rel=1e-6)
    assert cosine(m, mixed).min() < 0.99
    # The hidden layer of an image itself, which other methods ask for, is not mixed.
    np.testing.assert_allclose(D.features(x).detach().numpy(), 2 * by_hand(D, x, np.ones((8, 1)))[1])


def test_no_image_is_its_own_partner_and_lam_is_uniform(mixing):
    D, _ = mixing()
    torch.manual_seed(0)
    n = 2000
    x = torch.arange(n).double()[:, None, None, None].expand(-1, 3, 2, 2)
    seen = []
    D.blocks.register_forward_pre_hook(lambda blocks, inputs: seen.append(inputs[0]))
    D(x, None)
    mixes, plain = (images[:, 0, 0, 0].numpy() for images in seen)
    np.testing.assert_array_equal(plain, np.arange(n))
    partner = (np.arange(n) + n // 2) % n
    lam = (mixes - partner) / (np.arange(n) - partner)
    assert kstest(lam, "uniform").pvalue > 1e-3 and len(set(lam)) == n


def test_the_target_has_noise_of_005_and_no_gradient(mixing, monkeypatch):
    D, _ = mixing()
    torch.manual_seed(0)
    x = torch.randn(4000, 3, 2, 2).double()
    lam = drawn(4000)
    pairs, cosine_similarity = [], F.cosine_similarity
    monkeypatch.setattr(F, "cosine_similarity", lambda a, b: pairs.append((a, b)) or cosine_similarity(a, b))
    torch.manual_seed(3)
    D(x, None)
    ((m, target),) = pairs
    _, expected_m, mixed = by_hand(D, x, lam)
    np.testing.assert_allclose(m.detach().numpy(), expected_m, rtol=1e-4, atol=1e-6)
    noise = (target - torch.from_numpy(mixed)).numpy().flatten()
    assert kstest(noise[::5] / 0.05, "norm").pvalue > 1e-3
    assert m.requires_grad and not target.requires_grad


def test_both_losses_are_minus_the_cosines_of_their_passes():
    real, fake = torch.tensor(0.25, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    noted_real, noted_fake = {"adaptivemix": [real]}, {"adaptivemix": [fake]}
    d_loss = Method(weight=2.0).d_loss(step_of_d(noted_real=noted_real, noted_fake=noted_fake))
    d_loss.backward()
    assert d_loss.item() == -1.5 and real.grad.item() == fake.grad.item() == -2
    assert Method().g_loss(step_of_g(noted_fake=noted_fake)).item() == -0.5


def assert_on_the_lines(mixes: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """Image n of `mixes` is between images n of a and b, each image at a place of its own."""
    flat, a, b = (x.flatten(1).double().numpy() for x in (mixes, a, b))
    places = ((flat - b) * (a - b)).sum(1) / np.square(a - b).sum(1)
    assert (places > 0).all() and (places < 1).all() and len(set(places)) == len(places)
    np.testing.assert_allclose(flat, b + places[:, None] * (a - b), atol=1e-5)


@pytest.mark.parametrize("preset", ["tiny", "tiny-biggan"])
@pytest.mark.parametrize("plugins", [["adaptivemix"], ["ada", "adaptivemix"], ["lecam", "adaptivemix"]])
def test_reals_are_mixed_with_reals_and_fakes_with_fakes(make_spec, make_reals, monkeypatch, preset, plugins):
    """G's step has one look at mixes, of fakes, and D's step one for each kind. What is paid moves D's blocks, or G."""
    torch.manual_seed(0)
    hyper = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2} if preset == "tiny-biggan" else {}
    spec = make_spec(hyper=hyper, plugins=[(name, {}) for name in plugins], of=preset)
    steps = Trainer(spec, make_reals(), CPU)
    adaptivemix, features, seen = steps.method.methods["adaptivemix"], steps.D.features, []
    monkeypatch.setattr(steps.D, "features", lambda x: seen.append(x.detach()) or features(x))

    def checked(hook, moved, ctx):
        kinds = [ctx.t_real, ctx.t_fake] if isinstance(ctx, DStep) else [ctx.t_fake]
        assert len(seen) == 2 * len(kinds)
        for mixes, plain, kind in zip(seen[::2], seen[1::2], kinds, strict=True):
            assert torch.equal(plain, kind)
            assert_on_the_lines(mixes, kind.detach(), kind.detach().roll(len(kind) // 2, 0))
        loss = hook(ctx)
        gradients = torch.autograd.grad(loss, moved, retain_graph=True)
        assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)
        hooks.append(hook)
        return loss

    hooks = []
    own_g, own_d = adaptivemix.g_loss, adaptivemix.d_loss
    convolutions = [each for each in steps.D.blocks.parameters() if each.ndim == 4]
    monkeypatch.setattr(adaptivemix, "g_loss", partial(checked, own_g, steps.g_player.params))
    monkeypatch.setattr(adaptivemix, "d_loss", partial(checked, own_d, convolutions))
    for iteration in range(2):
        for step in (steps.g_step, steps.d_step, steps.validate):
            seen.clear()
            step(8 * iteration, iteration)
    assert hooks == [own_g, own_d] * 2
    assert all(np.isfinite(value) for value in steps.tally.means().values())
    assert not any(layer._forward_hooks for layer in steps.D.modules())


def test_real_networks_embed_up_to_their_last_block(make_spec, make_reals):
    """D' of networks whose parts are called one after the other: StyleGAN2 without the minibatch's deviation."""
    torch.manual_seed(0)
    spec = make_spec(plugins=[("adaptivemix", {"noise_std": 0.0})], hyper={"mbstd_group": 1})
    D = Trainer(spec, make_reals(), CPU).D
    x = torch.randn(8, 3, 16, 16)
    lam = torch.from_numpy(drawn(8)).float()[:, :, None, None]
    torch.manual_seed(3)
    with torch.no_grad(), collected() as notes:
        logits = D(x, None)
        z, partner = D.blocks(D.from_rgb(x)), torch.cat([x[4:], x[:4]])
        m = D.blocks(D.from_rgb(lam * x + (1 - lam) * partner))
        mixed = lam * z + (1 - lam) * torch.cat([z[4:], z[:4]])
        zeros = torch.zeros(8, D.mbstd_features, 4, 4)
        heads = [D.output(D.dense(D.conv(torch.cat([maps, zeros], 1)).flatten(1))) for maps in (m, mixed)]
    torch.testing.assert_close(logits, heads[0] + heads[1], rtol=1e-3, atol=1e-3)
    expected = cosine(m.flatten(1).numpy(), mixed.flatten(1).numpy()).mean()
    assert notes["adaptivemix"][0].item() == pytest.approx(expected, rel=1e-4)


def test_a_copy_of_d_mixes_by_its_own_blocks(mixing):
    D, _ = mixing()
    twin = copy.deepcopy(D)
    x = torch.randn(4, 3, 2, 2).double()
    torch.manual_seed(0)
    expected = D(x, None)
    with torch.no_grad():
        D.blocks[1].weight.zero_()
    torch.manual_seed(0)
    torch.testing.assert_close(twin(x, None), expected)


def test_it_is_refused_with_labels_and_beside_what_expects_one_look(make_spec):
    alone = [("adaptivemix", {})]
    assert refusal(make_spec(plugins=alone)) is None
    assert "different labels" in refusal(make_spec(plugins=alone, conditional=True))[1]
    for other in ("pagan", "reconstruction", "advaug", "chain", "diffusion_gan", "afi"):
        assert f"'{other}' expects one look" in refusal(make_spec(plugins=[*alone, (other, {})]))[1]


def test_noise_cannot_be_negative():
    with pytest.raises(ValueError, match="noise_std is -0.1"):
        Method(noise_std=-0.1)
