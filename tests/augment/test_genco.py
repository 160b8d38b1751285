"""GenCo's views and losses against numpy, what moves which weights, and where it makes no sense (arXiv:2110.01254)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from leangan.augment.genco import Method, band_of, cosine
from leangan.plugins.networks import build_networks
from leangan.plugins.pair import Discriminator
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import SMALL_BIGGAN
from tests.helpers.steps import step_of_d, step_of_g

CPU = torch.device("cpu")
HYPER = {"tiny": {}, "tiny-biggan": SMALL_BIGGAN}


def rings(n: int, bands: int) -> np.ndarray:
    """Each coefficient's band: band i is what box i + 1 of low frequencies has more than box i."""
    band = np.full((n, n), -1)
    for i in reversed(range(bands)):
        side = n * (i + 1) // (2 * bands)  # the box has so many rows and columns at each corner of the spectrum
        near = np.arange(n) < side
        near |= near[::-1]
        band[np.outer(near, near)] = i
    return band


@pytest.mark.parametrize("n, bands", [(8, 4), (16, 64), (32, 64), (256, 64)])
def test_bands_are_rings_around_the_mean_of_equal_width(n, bands):
    assert np.array_equal(band_of(n, bands).numpy(), rings(n, bands)) and rings(n, bands).min() >= 0


def prepared(size: int, **arguments) -> Method:
    """A method whose bands are those of images of so many pixels."""
    method = Method(**arguments)
    method.register_buffer("band", band_of(size, method.bands))
    return method


def filtered(images: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Images [N, C, H, W] of whose spectrum only coefficients stay [H, W], by the sum over all waves."""
    n = images.shape[-1]
    wave = np.exp(2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    spectrum = wave.conj() @ images @ wave.conj()
    return (wave @ (spectrum * stays) @ wave).real / n**2


def test_low_bands_are_left_out_of_all_images():
    torch.manual_seed(0)
    images = torch.randn(3, 2, 16, 16, dtype=torch.float64)
    seen = prepared(16, bands=8, first=3, keep=1.0).without_bands(images)
    np.testing.assert_allclose(seen.numpy(), filtered(images.numpy(), rings(16, 8) >= 3), atol=1e-12)
    assert seen.mean((2, 3)).abs().max() < 1e-12 and not torch.allclose(images.mean((2, 3)), torch.tensor(0.0).double())


def test_of_the_others_a_fixed_number_stays_drawn_for_each_image():
    """A point has all waves in equal parts; those of row 0 tell which bands are there."""
    torch.manual_seed(1)
    point = torch.zeros(4000, 1, 16, 16, dtype=torch.float64)
    point[:, :, 0, 0] = 1
    seen = prepared(16, bands=8, first=2, keep=0.7).without_bands(point)  # 4 of 6
    column = torch.fft.fft2(seen)[:, 0, 0].real.numpy()
    stays = [np.zeros(4000)]  # the mean is in band 0
    for k in range(1, 8):  # columns k and -k are in bands k and k - 1, and the real part has their mean
        stays.append(2 * column[:, k] - stays[-1])
    stays = np.stack(stays, axis=1)
    assert np.abs(stays - stays.round()).max() < 1e-9
    stays = stays.round().astype(int)
    assert not stays[:, :2].any() and (stays[:, 2:].sum(1) == 4).all()
    combinations = np.unique(stays, axis=0, return_counts=True)[1]
    assert len(combinations) == 15 and np.square(combinations - 4000 / 15).sum() / (4000 / 15) < 36.1  # chi2, 14, 0.1 %


class Linear(Discriminator):
    """D(x, c) = <a, x> + c."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(pixels, dtype=torch.float64))
        self.b = nn.Parameter(torch.randn(2, dtype=torch.float64))  # weights that change no logit

    def features(self, x):
        return x.flatten(1) * self.a

    def score(self, features, c):
        return features.sum(1, keepdim=True) + c


def hinge(d_real, d_fake):
    return (1 - d_real).clamp(min=0).mean() + (1 + d_fake).clamp(min=0).mean()


@pytest.fixture
def three() -> tuple[Linear, Method]:
    """D, and the method with D_2 and D_3, which sees all but the lowest of 2 bands, and is at a quarter of the run."""
    torch.manual_seed(2)
    method = prepared(8, weight=0.5, bands=2, first=1, keep=1.0)
    method.D_2, method.D_3 = Linear(64), Linear(64)
    method.total_nimg = 1600
    for _ in range(50):
        method.observe(torch.zeros(8, 1), torch.zeros(8, 1), 0)
    return Linear(64), method


def draws(roles: list[str]):
    """A transform that adds a multiple of the number of its call, and notes the roles of its calls."""

    def transform(x, role):
        roles.append(role)
        return x + 0.25 * len(roles)

    return transform


def numbers(network: Linear) -> np.ndarray:
    return np.concatenate([param.detach().numpy() for param in network.parameters()])


def test_ds_loss_has_those_of_both_and_the_cosine_of_weights(three):
    D, method = three
    x_real, x_fake = torch.randn(2, 6, 1, 8, 8, dtype=torch.float64).unbind()
    c_real, c_fake = torch.randn(2, 6, 1, dtype=torch.float64).unbind()
    roles: list[str] = []
    ctx = step_of_d(
        D=D,
        transform=draws(roles),
        criterion=hinge,
        x_real=x_real,
        x_fake=x_fake,
        c_real=c_real,
        c_fake=c_fake,
    )
    loss = method.d_loss(ctx)
    w, w_2 = numbers(D), numbers(method.D_2)
    cos = w @ w_2 / np.sqrt(w @ w * (w_2 @ w_2))
    wanted = 0.5 * 0.75 * (1 + cos)
    high = rings(8, 2) >= 1
    for network, shifts, view in (
        (method.D_2, (0.25, 0.5), lambda t: t),
        (method.D_3, (0.75, 1.0), lambda t: filtered(t, high)),
    ):
        for x, c, shift, sign in ((x_real, c_real, shifts[0], -1), (x_fake, c_fake, shifts[1], 1)):
            logits = view(x.numpy() + shift).reshape(6, -1) @ network.a.detach().numpy() + c.numpy()[:, 0]
            wanted += np.maximum(1 + sign * logits, 0).mean()
    assert roles == ["real", "fake_d"] * 2
    assert loss.item() == pytest.approx(wanted, rel=1e-9)
    loss.backward()
    assert D.a.grad is None and method.D_3.a.grad.any()
    # b is in no logit.
    slope = 0.5 * 0.75 * (w / np.sqrt(w @ w * (w_2 @ w_2)) - cos * w_2 / (w_2 @ w_2))
    np.testing.assert_allclose(method.D_2.b.grad.numpy(), slope[-2:], rtol=1e-9)
    assert method.D_3.b.grad is None


def test_gs_loss_is_the_sum_of_those_of_both(three):
    _, method = three
    x, c = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    roles: list[str] = []
    ctx = step_of_g(transform=draws(roles), criterion=lambda d: -d.mean(), x_fake=x, c_fake=c)
    views = (x.numpy() + 0.25, filtered(x.numpy() + 0.5, rings(8, 2) >= 1))
    wanted = -sum(
        (view.reshape(6, -1) @ network.a.detach().numpy()).mean() + c.numpy().mean()
        for view, network in zip(views, (method.D_2, method.D_3), strict=True)
    )
    assert method.g_loss(ctx).item() == pytest.approx(wanted, rel=1e-9) and roles == ["fake_g"] * 2


def r1(gamma: float, x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gamma / 2 * slope.square().sum((1, 2, 3)).mean()


def test_r1_is_that_of_each_discriminator_at_what_b_takes(three):
    """The slope of <a, B x> is B a, as B treats both signs of a frequency alike."""
    _, method = three
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    t, c = 2 * x, torch.zeros(6, 1, dtype=torch.float64)
    loss = method.d_regularizer(torch.tensor(5.0, dtype=torch.float64), t, c, partial(r1, 3.0, x))
    a_2, a_3 = (network.a.detach().numpy().reshape(1, 1, 8, 8) for network in (method.D_2, method.D_3))
    slopes = (2 * a_2, 2 * filtered(a_3, rings(8, 2) >= 1))
    assert loss.item() == pytest.approx(5 + sum(1.5 * np.square(slope).sum() for slope in slopes), rel=1e-9)


@pytest.mark.parametrize("interval", [1, 16])
def test_r1_of_all_three_is_part_of_the_steps_that_have_ds_own(make_spec, make_reals, monkeypatch, interval):
    spec = make_spec("genco", hyper={"r1_interval": interval, "r1_gamma": 4.0})
    steps, given, losses = Trainer(spec, make_reals(), CPU), [], []
    backbone, player = steps.backbone, steps.d_player
    own, step = backbone.d_regularizer, player.step
    monkeypatch.setattr(backbone, "d_regularizer", lambda at, d: given.append(own(at, d)) or given[-1])
    monkeypatch.setattr(player, "step", lambda loss: step(lambda: losses.append(loss()) or losses[-1]))
    monkeypatch.setattr(player.optimizer, "step", lambda: None)
    steps.d_step(0, iteration=0)
    assert len(given) == 3
    x = steps.data.batch(0, 8)[0].requires_grad_()
    for penalty, network in zip(given, (steps.D, steps.method.methods["genco"].D_2), strict=False):
        assert penalty.item() == pytest.approx(r1(4.0, x, network(x, None)).item(), rel=1e-5)
    if interval == 1:
        assert len(losses) == 1 and losses[0] > sum(given)
    else:
        assert losses[1].item() == pytest.approx(16 * sum(each.item() for each in given), rel=1e-5)


def test_all_three_begin_with_weights_of_their_own_and_d_learns_as_without(make_spec, make_reals):
    trainers = []
    for name in ("genco", "none"):
        spec = make_spec(name)
        torch.manual_seed(3)
        trainers.append(Trainer(spec, make_reals(), CPU))
    genco, none = trainers
    method = genco.method.methods["genco"]
    weights = [network.blocks[0].conv0.weight for network in (genco.D, method.D_2, method.D_3)]
    assert not any(torch.equal(weights[i], weights[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    none.G.load_state_dict(genco.G.state_dict())
    none.D.load_state_dict(genco.D.state_dict())
    for steps in trainers:
        torch.manual_seed(4)
        steps.d_step(0, iteration=0)
    assert all(torch.equal(a, b) for a, b in zip(genco.D.parameters(), none.D.parameters(), strict=True))


def test_weights_of_another_kind_are_not_compared(make_spec):
    _, _, D, method = build_networks(make_spec(plugins=[("genco", {}), ("spectral_norm", {})]), 3, 0)
    with pytest.raises(ValueError, match="another method changed D's 'blocks.0.conv0"):
        cosine(D, method.methods["genco"].D_2)


@pytest.mark.parametrize("of", HYPER)
@pytest.mark.parametrize("other", ["ada", "diffaugment", "lecam"])
@pytest.mark.parametrize("conditional", [False, True])
def test_it_trains_with_others_and_labels(make_spec, make_reals, of, other, conditional):
    torch.manual_seed(0)
    plugins = [(other, {"p": 0.5} if other == "ada" else {}), ("genco", {})]
    spec = make_spec(plugins=plugins, of=of, hyper=HYPER[of], conditional=conditional)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(conditional=conditional), CPU)
    method = steps.method.methods["genco"]
    start = [param.clone() for param in method.parameters()]
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    assert method.seen == 16 and all(np.isfinite(value) for value in steps.tally.means().values())
    moved = [not torch.equal(a, b) for a, b in zip(method.parameters(), start, strict=True)]
    assert np.mean(moved) > 0.9


def test_where_it_makes_no_sense(make_spec):
    def reason(*plugins, **changes) -> str | None:
        return Method.skip(make_spec(plugins=[*plugins, ("genco", {})], **changes))

    assert reason() is None and reason(("ada", {})) is None
    assert "'relativistic' both decide" in reason(("relativistic", {}), hyper={"r1_gamma": 0.0})
    wasserstein = {"adversarial_loss": "wasserstein", "r1_gamma": 0.0}
    assert "holds the slope of D" in reason(("wgan_gp", {}), hyper=wasserstein)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": -0.1}, "weight is -0.1; 0 or more is allowed: change the method's `weight`"),
        ({"bands": 0}, "bands is 0; 1 or more are allowed"),
        ({"first": 64}, "first is 64; 0 to 63 are allowed"),
        ({"keep": 0.0}, "keep is 0.0; 0 < keep <= 1 is allowed"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Method(**arguments)


@pytest.mark.parametrize("entry, others", [("ada-genco", ["ada"]), ("diffaugment-genco", ["diffaugment"])])
def test_entries_have_the_constants_of_the_release(entry, others):
    plugins = dict(method_plugins(entry))
    assert list(plugins) == [*others, "genco"]
    assert plugins["genco"] == {"weight": 0.01, "bands": 64, "first": 8, "keep": 0.8}
    method = Method(**plugins["genco"])
    assert int(method.keep * (method.bands - method.first)) == 44
