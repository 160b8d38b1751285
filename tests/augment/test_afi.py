"""AFI's dimension, shares and losses against numpy and scipy, and where it makes no sense (arXiv:2112.02450)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from leangan.augment import afi
from leangan.augment.afi import Method, dimension, shares_of_neighbours
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import SMALL_BIGGAN
from tests.helpers.steps import step_of_d, step_of_g

CPU = torch.device("cpu")
HYPER = {"tiny": {}, "tiny-biggan": SMALL_BIGGAN}


def classical_scaling(e: np.ndarray) -> np.ndarray:
    """Eigenvalues of the doubly centred squared distances of the unit vectors along e, the largest first."""
    unit = e / np.linalg.norm(e, axis=1, keepdims=True)
    squares = np.square(unit[:, None] - unit).sum(2)
    centring = np.eye(len(e)) - 1 / len(e)
    return np.linalg.eigvalsh(-centring @ squares @ centring / 2)[::-1]


@pytest.mark.parametrize("spread", [1.0, 1e-3])
@pytest.mark.parametrize("images", [4, 8, 40])
def test_dimension_is_the_number_of_large_values_of_multidimensional_scaling(images, spread):
    """Those of the points that it places are roots of eigenvalues; all but 0.1 of the largest may be left out."""
    generator, found = np.random.default_rng(images), set()
    for decay in np.linspace(0, 12, 40):
        e = 1 + spread * generator.normal(size=(images, 20)) * np.logspace(0, -decay, 20)
        values = np.sqrt(classical_scaling(e).clip(min=0))
        wanted = int((values >= 0.1 * values[0]).sum())
        assert dimension(torch.from_numpy(e), 0.1) == wanted
        found.add(wanted)
    assert len(found) > 1


@pytest.mark.parametrize("axes, wanted", [(1, 1), (2, 2), (5, 5)])
def test_dimension_of_points_on_axes(axes, wanted):
    """Of e_1 +- a e_j, all of one length, the centred vectors lie along `axes` axes."""
    e = torch.cat([torch.eye(7)[:1] + sign * 0.3 * torch.eye(7)[1 : 1 + axes] for sign in (-1, 1)])
    assert dimension(e, 0.1) == wanted
    assert dimension(torch.ones(4, 7), 0.1) == 0


def test_shares_follow_the_dirichlet_law_of_the_nearest():
    e = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [0.0, 10.0]]).double()
    torch.manual_seed(0)
    drawn = np.stack([shares_of_neighbours(e, torch.tensor(3)).numpy() for _ in range(3000)])
    np.testing.assert_allclose(drawn.sum(2), 1)
    longest = np.sqrt(109)  # from the second to the fourth
    neighbours = {0: {0: 0, 1: 3, 2: 4}, 1: {0: 3, 1: 0, 2: 5}, 2: {0: 4, 1: 5, 2: 0}, 3: {0: 10, 2: 6, 3: 0}}
    for i, distances in neighbours.items():
        concentration = {j: 1 / (1 + d / longest) for j, d in distances.items()}
        total = sum(concentration.values())
        for j in range(4):
            if j not in distances:
                assert not drawn[:, i, j].any()
                continue
            law = stats.beta(concentration[j], total - concentration[j])
            assert stats.kstest(drawn[:, i, j], law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1]) < 0.06  # each image draws its own


def test_alone_or_equal_each_image_stays_itself():
    e = torch.randn(5, 3)
    assert torch.equal(shares_of_neighbours(e, torch.tensor(1)), torch.eye(5))
    assert len(shares_of_neighbours(torch.ones(5, 3), torch.tensor(5)).unique()) > 20  # nothing is 0 / 0


@pytest.fixture
def method() -> Method:
    """A method whose head is known, of 3 outputs."""
    torch.manual_seed(3)
    made = Method(outputs=3)
    made.head = nn.Linear(4, 3, dtype=torch.float64)
    return made


def outputs(method: Method, f: torch.Tensor, d: torch.Tensor) -> np.ndarray:
    head = f.detach().numpy() @ method.head.weight.detach().numpy().T + method.head.bias.detach().numpy()
    return d.detach().numpy() + head - head.mean(1, keepdims=True)


def drawn(images: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(images, 4, dtype=torch.float64), torch.randn(images, 1, dtype=torch.float64).requires_grad_()


def test_losses_are_the_hinges_of_all_outputs(method, monkeypatch):
    """As many dimensions as vectors can have, so that nothing is mixed."""
    monkeypatch.setattr(afi, "dimension", lambda e, threshold: torch.tensor(len(e) - 1))
    (f_real, d_real), (f_fake, d_fake) = drawn(6), drawn(6)
    real, fake = outputs(method, f_real, d_real), outputs(method, f_fake, d_fake)
    unused = torch.tensor(torch.nan)
    loss = method.d_adversarial(step_of_d(f_real=f_real, d_real=d_real, f_fake=f_fake, d_fake=d_fake), unused)
    wanted = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    assert loss.item() == pytest.approx(wanted, rel=1e-9) and method.log() == {"interpolated": 0.0}
    loss = method.g_adversarial(step_of_g(f_fake=f_fake, d_fake=d_fake), unused)
    assert loss.item() == pytest.approx(np.maximum(0, -fake).mean(), rel=1e-9)
    np.testing.assert_allclose(fake.mean(1, keepdims=True), d_fake.detach().numpy())


def test_mixes_are_unit_vectors_with_a_gradient_to_all_that_is_in_them(method, monkeypatch):
    """e' = m / |m| with m = sum_j w_j e_j; its derivative by e_j is w_j (1 - e' e'^T) / |m|."""
    shares = torch.rand(6, 6, dtype=torch.float64)
    asked = []
    monkeypatch.setattr(afi, "dimension", lambda e, threshold: asked.append(threshold) or torch.tensor(2))
    monkeypatch.setattr(afi, "shares_of_neighbours", lambda e, k: asked.append(k.item()) or shares)
    f, d = drawn(6)
    e = outputs(method, f, d)
    torch.manual_seed(4)
    mixed, p = method.embedding(f, d)
    assert asked == [0.1, 4] and p == 0.5
    torch.manual_seed(4)
    replaced = torch.rand(6).numpy() < 0.5
    assert 0 < replaced.sum() < 6
    m = shares.numpy() @ e
    length = np.linalg.norm(m, axis=1, keepdims=True)
    unit = m / length
    np.testing.assert_allclose(mixed.detach().numpy(), np.where(replaced[:, None], unit, e), rtol=1e-9)
    upstream = torch.randn(6, 3, dtype=torch.float64)
    (by_d,) = torch.autograd.grad((mixed * upstream).sum(), d)
    u = upstream.numpy() * replaced[:, None]
    by_m = (u - unit * (u * unit).sum(1, keepdims=True)) / length
    by_e = shares.numpy().T @ by_m + upstream.numpy() * ~replaced[:, None]
    np.testing.assert_allclose(by_d.numpy(), by_e.sum(1, keepdims=True), rtol=1e-8, atol=1e-10)


def test_how_many_are_mixed_follows_from_the_dimension(method):
    """Vectors along one line: r = 1, so that k = N - 1 and p = (N - 2) / N of the images give way."""
    nn.init.zeros_(method.head.weight)
    nn.init.zeros_(method.head.bias)
    f, d = drawn(10)
    torch.manual_seed(5)
    count = []
    for _ in range(300):
        mixed, p = method.embedding(f, 100 * d)
        assert p.item() == pytest.approx(0.8)
        stays = (mixed == 100 * d).all(1)
        assert torch.all(stays | ((mixed.abs() - 3**-0.5).abs() < 1e-9).all(1))
        count.append(10 - stays.sum().item())
    assert np.mean(count) == pytest.approx(8, abs=4 * np.sqrt(1.6 / 300))
    assert np.var(count) == pytest.approx(1.6, rel=0.4)  # each image on its own


def test_r1_is_that_of_the_sum_of_all_outputs(make_spec):
    backbone, _, D, composed = build_networks(make_spec("afi", hyper={"r1_gamma": 3.0}), 3, 0)
    method = composed.methods["afi"]
    x = torch.randn(8, 3, 16, 16, requires_grad=True)
    f, d, _ = D.judge(x, None)
    h = method.head(f)
    own = backbone.d_regularizer(x, d)
    of_sum = backbone.d_regularizer(x, (d + h - h.mean(1, keepdim=True)).sum(1, keepdim=True))
    assert h.shape == (8, 20)
    assert composed.d_regularizer(own, x, None, None).item() == pytest.approx(of_sum.item(), rel=1e-4)
    assert of_sum > 0


@pytest.mark.parametrize("of", HYPER)
@pytest.mark.parametrize("other", ["ada", "diffaugment", "chain"])
@pytest.mark.parametrize("conditional", [False, True])
def test_it_trains_with_others_and_labels(make_spec, make_reals, of, other, conditional):
    torch.manual_seed(0)
    plugins = [(other, {"p": 0.5} if other == "ada" else {}), ("afi", {})]
    spec = make_spec(plugins=plugins, of=of, hyper=HYPER[of], conditional=conditional)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(conditional=conditional), CPU)
    start = [param.clone() for param in steps.d_player.params]
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    assert all(np.isfinite(value) for value in {**steps.tally.means(), **steps.method.log()}.values())
    assert np.mean([not torch.equal(a, b) for a, b in zip(steps.d_player.params, start, strict=True)]) > 0.9


def test_where_it_makes_no_sense(make_spec):
    def reason(*plugins, **changes) -> str | None:
        return Method.skip(make_spec(plugins=[*plugins, ("afi", {})], **changes))

    assert reason() is None and reason(("ada", {})) is None and reason(("lecam", {})) is None
    assert "'advaug' both decide" in reason(("advaug", {}))
    assert "an adversarial loss of its own" in reason(("wgan_gp", {}))
    assert "turns D's logit around" in reason(("pagan", {}))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"outputs": 1}, "outputs is 1; 2 or more are allowed: change the method's `outputs`"),
        ({"threshold": 0.0}, "threshold is 0.0; 0 < threshold <= 1 is allowed: change the method's `threshold`"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Method(**arguments)


def test_the_entry_has_the_constants_of_the_release():
    plugins = dict(method_plugins("ada-afi"))
    assert list(plugins) == ["ada", "afi"] and plugins["afi"] == {"outputs": 20, "threshold": 0.1}
