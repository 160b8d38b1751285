"""AugSelf-GAN against its definition in numpy, what it draws on, and where it makes no sense (arXiv:2205.15677)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.augment.augself import Method
from leangan.augment.diffaugment import DRAWN
from leangan.plugins.method import Networks
from leangan.plugins.pair import Discriminator
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g

NAMES = list(DRAWN)


class Squares(Discriminator):
    """D whose last hidden layer are the squares of an image's 12 pixels, so that phi is not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 12

    def features(self, x):
        return x.flatten(1).square()

    def score(self, features, c):
        return features.sum(1, keepdim=True)


def made(make_spec, policy: str = "color,translation,cutout", **arguments) -> tuple[Method, Squares]:
    method, D = Method(**arguments), Squares()
    spec = make_spec(plugins=[("diffaugment", {"policy": policy}), ("augself", arguments)])
    method.prepare(Networks(None, D, spec))
    return method, D


def notes(n: int, widths: dict[str, int] = DRAWN) -> dict[str, list[torch.Tensor]]:
    return {name: [torch.rand(n, width)] for name, width in widths.items()}


def error(method: Method, name: str, change: torch.Tensor, target: torch.Tensor) -> float:
    """The mean squared distance between what a head says of the change and a target."""
    weight, bias = (each.detach().double().numpy() for each in method.heads[name].parameters())
    said = change.detach().double().numpy() @ weight.T + bias
    return np.square(said - target.double().numpy()).mean()


def test_d_learns_omega_of_reals_and_its_negative_of_fakes(make_spec):
    method, D = made(make_spec, d_weight=0.7, g_weight=1e9)
    x_real, t_real, x_fake, t_fake = torch.randn(4, 6, 3, 2, 2).unbind()
    real, fake = notes(6), notes(6)
    ctx = step_of_d(
        D=D,
        x_real=x_real,
        f_real=D.features(t_real),
        drawn_real=real,
        x_fake=x_fake,
        f_fake=D.features(t_fake),
        drawn_fake=fake,
    )
    expected = sum(
        error(method, name, (t_real.square() - x_real.square()).flatten(1), real[name][0])
        + error(method, name, (t_fake.square() - x_fake.square()).flatten(1), -fake[name][0])
        for name in NAMES
    )
    assert method.d_loss(ctx).item() == pytest.approx(0.7 * expected, rel=1e-5)


def test_g_is_drawn_to_omega_and_away_from_its_negative(make_spec):
    method, D = made(make_spec, d_weight=1e9, g_weight=0.2)
    x_fake, t_fake = (x.requires_grad_() for x in torch.randn(2, 6, 3, 2, 2).unbind())
    fake = notes(6)
    loss = method.g_loss(step_of_g(D=D, x_fake=x_fake, f_fake=D.features(t_fake), drawn_fake=fake))
    change = (t_fake.square() - x_fake.square()).flatten(1)
    expected = sum(
        error(method, name, change, fake[name][0]) - error(method, name, change, -fake[name][0]) for name in NAMES
    )
    assert loss.item() == pytest.approx(0.2 * expected, rel=1e-5)
    # The difference of the squares is -4 omega H(change): its gradient passes both phi, with opposite signs.
    slope = sum(
        -4 * fake[name][0].double().numpy() @ method.heads[name].weight.detach().double().numpy() / (6 * DRAWN[name])
        for name in NAMES
    )
    for x, sign in ((t_fake, 1), (x_fake, -1)):
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        wanted = sign * 0.2 * slope * 2 * x.detach().double().flatten(1).numpy()
        np.testing.assert_allclose(gradient.flatten(1).numpy(), wanted, rtol=1e-4, atol=1e-7)


def test_gradients_of_d_pass_phi_of_either_image(make_spec):
    """Against differences of the loss, for factors of phi(x), phi(T(x)) of reals and phi(T(G(z)))."""
    method, D = made(make_spec)
    x_real, t_real, x_fake, t_fake = torch.randn(4, 6, 3, 2, 2, dtype=torch.float64).unbind()
    method.double()
    drawn = {"drawn_real": notes(6), "drawn_fake": notes(6)}

    def loss(factors: torch.Tensor) -> torch.Tensor:
        D.features = lambda x: factors[0] * x.flatten(1).square()
        f_real, f_fake = (factors[k] * t.flatten(1).square() for k, t in ((1, t_real), (2, t_fake)))
        return method.d_loss(step_of_d(D=D, x_real=x_real, x_fake=x_fake, f_real=f_real, f_fake=f_fake, **drawn))

    factors = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(factors), factors)
    ends = torch.eye(3, dtype=torch.float64) * 1e-4
    wanted = [(loss(1 + end) - loss(1 - end)).item() / 2e-4 for end in ends]
    assert gradient.tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    "policy, predicts, heads",
    [
        ("color,translation,cutout", "color", {"color": 3}),
        ("cutout,color", "color,translation,cutout", {"color": 3, "cutout": 2}),
        ("translation,translation", "translation,cutout", {"translation": 4}),
    ],
)
def test_heads_are_those_of_operations_that_the_policy_has(make_spec, policy, predicts, heads):
    method, D = made(make_spec, policy, predicts=predicts)
    assert {name: len(head.weight) for name, head in method.heads.items()} == heads
    fake = {name: list(torch.rand(width // DRAWN[name], 4, DRAWN[name])) for name, width in heads.items()}
    loss = method.g_loss(step_of_g(D=D, x_fake=torch.zeros(4, 3, 2, 2), f_fake=torch.zeros(4, 12), drawn_fake=fake))
    said = {name: head.bias.detach() for name, head in method.heads.items()}
    wanted = sum((-4 * torch.cat(fake[name], dim=1) * said[name]).mean().item() for name in heads)
    assert loss.item() == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("of", ["tiny", "tiny-biggan"])
@pytest.mark.parametrize("others", [["diffaugment"], ["ada", "diffaugment"]], ids="-".join)
def test_heads_learn_in_d_steps_alone_from_what_the_run_drew(make_spec, make_reals, monkeypatch, of, others):
    hyper = {"g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "batch": 8, "d_steps": 1}
    plugins = [*((name, {"p": 0.5} if name == "ada" else {}) for name in others), ("augself", {})]
    spec = make_spec(plugins=plugins, of=of, hyper=hyper if of == "tiny-biggan" else {})
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    method = steps.method.methods["augself"]
    contexts = {}
    for hook in ("d_loss", "g_loss"):
        own = getattr(method, hook)
        monkeypatch.setattr(method, hook, lambda ctx, own=own, hook=hook: contexts.update({hook: ctx}) or own(ctx))
    start = [param.clone() for param in method.parameters()]
    steps.g_step(0, 0)
    assert all(torch.equal(param, before) for param, before in zip(method.parameters(), start, strict=True))
    steps.d_step(0, 1)
    assert all(not torch.equal(param, before) for param, before in zip(method.parameters(), start, strict=True))
    drawn = [contexts["g_loss"].drawn_fake, contexts["d_loss"].drawn_fake, contexts["d_loss"].drawn_real]
    for found in drawn:
        assert {name: [tuple(value.shape) for value in found[name]] for name in NAMES} == {
            name: [(8, width)] for name, width in DRAWN.items()
        }
    assert not torch.equal(drawn[1]["color"][0], drawn[2]["color"][0])
    assert all(np.isfinite(value) for value in steps.tally.means().values())


def test_where_it_makes_no_sense(make_spec):
    def reason(*plugins, **arguments) -> str | None:
        found = refusal(make_spec(plugins=[*plugins, ("augself", arguments)]))
        return found and found[1]

    assert "compose it with `diffaugment`" in reason() and "compose it with `diffaugment`" in reason(("ada", {}))
    assert "`roles`" in reason(("diffaugment", {"roles": ["real", "fake_d"]}))
    assert "'cutout', names no operation" in reason(("diffaugment", {"policy": "color"}), predicts="cutout")
    assert reason(("diffaugment", {"policy": "color,cutout"}), predicts="cutout, translation") is None


def test_arguments():
    with pytest.raises(ValueError, match="'colour'.*'color'.*`predicts`"):
        Method(predicts="colour")
    resolved = Method.resolve({"predicts": "cutout, color,cutout", "d_weight": 1.0})
    assert resolved == {"predicts": "color,cutout", "d_weight": 1.0}


@pytest.mark.parametrize(
    "entry, predicts, d_weight, g_weight",
    [
        ("augself-biggan", "color,translation,cutout", 1, 1),
        ("augself-ffhq", "color,translation,cutout", 1, 0.2),
        ("augself-lowshot", "color", 1, 1),
        ("augself-lowshot-weak", "color", 0.1, 0.1),
    ],
)
def test_entries_have_the_weights_of_the_release(entry, predicts, d_weight, g_weight):
    first, second = method_plugins(entry)
    assert first == ("diffaugment", {"policy": "color,translation,cutout", "roles": ["real", "fake_d", "fake_g"]})
    assert second == ("augself", {"predicts": predicts, "d_weight": d_weight, "g_weight": g_weight})
