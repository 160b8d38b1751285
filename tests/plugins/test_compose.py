"""Composition: every hook of every method, in order."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from leangan.augment import ada, da, none
from leangan.plugins import method
from leangan.plugins.compose import Compose, build
from leangan.plugins.pair import Discriminator
from leangan.runs.methods import method_plugins, method_preset
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer


class Affine(method.Method):
    """Scales images and adds constants, so that the order of two of them shows."""

    title, paper = "Affine", "arXiv:0000.00000"

    def __init__(self, factor: float, shift: float = 0.0) -> None:
        super().__init__()
        self.factor, self.shift = factor, shift
        self.seen: list[object] = []

    def prepare(self, networks):
        self.seen.append(networks)

    def transform(self, x, role):
        return x * self.factor + self.shift

    def mix(self, x_real, x_fake):
        return x_real * self.factor + x_fake * self.shift

    def d_adversarial(self, ctx, loss):
        return loss * self.factor + self.shift

    def g_adversarial(self, ctx, loss):
        return loss * self.shift + self.factor

    def d_regularizer(self, loss, t_real, c_real, penalty):
        return loss * self.factor + penalty(t_real * self.shift) + c_real

    def d_loss(self, ctx):
        return torch.tensor(self.factor)

    def g_loss(self, ctx):
        return self.shift

    def after_g_step(self, networks, cur_nimg):
        self.seen.append((networks, cur_nimg))

    def observe(self, d_real, d_fake, cur_nimg):
        self.seen.append(cur_nimg)

    def observe_validation(self, d_valid, cur_nimg):
        self.seen.append((d_valid, cur_nimg))

    def log(self):
        return {"p": self.factor, f"only_{self.factor:g}": self.shift}


@pytest.fixture
def pair() -> Compose:
    return build([("a", Affine, {"factor": 2.0, "shift": 1.0}), ("b", Affine, {"factor": 3.0, "shift": 5.0})])


def test_transforms_mixes_and_losses_in_place_of_others_are_chained_and_added_losses_summed(pair):
    x, y = torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), 10.0)
    assert torch.equal(pair.transform(x, "real"), torch.full_like(x, (1 * 2 + 1) * 3 + 5))
    assert torch.equal(pair.mix(x, y), torch.full_like(x, (1 * 2 + 10) * 3 + 50))
    loss = torch.tensor(7.0)
    assert pair.d_adversarial(None, loss) == (7 * 2 + 1) * 3 + 5
    assert pair.g_adversarial(None, loss) == (7 * 1 + 2) * 5 + 3
    assert pair.d_regularizer(loss, 10, 0.25, lambda logits: -logits) == (7 * 2 - 10 + 0.25) * 3 - 50 + 0.25
    assert pair.d_loss(None) == 5
    assert pair.g_loss(None) == 6


def test_prepare_and_observe_reach_all(pair):
    networks = method.Networks(torch.nn.Identity(), torch.nn.Identity(), spec=None)
    pair.prepare(networks)
    pair.after_g_step(networks, 32)
    pair.observe(torch.zeros(1, 1), torch.zeros(1, 1), 64)
    pair.observe_validation("logits", 128)
    assert [m.seen for m in pair.methods.values()] == [[networks, (networks, 32), 64, ("logits", 128)]] * 2


def test_held_out_images_are_needed_if_one_method_needs_them():
    for heuristic, needed in (("rt", False), ("rv", True)):
        method = build([("none", none.Method, {}), ("ada", ada.Method, {"heuristic": heuristic})])
        assert method.needs_validation is needed


def test_only_keys_that_collide_are_prefixed(pair):
    assert pair.log() == {"a.p": 2.0, "b.p": 3.0, "only_2": 1.0, "only_3": 5.0}


def test_state_of_all_methods_is_in_the_checkpoint():
    entries = [("ada", ada.Method, {"p": 0.5}), ("none", none.Method, {}), ("da", da.Method, {"p": 0.25})]
    source, target = build(entries), build([(name, cls, {}) for name, cls, _ in entries])
    target.load_state_dict(source.state_dict())
    assert target.log()["p"] == 0.5
    assert target.methods["da"].p == 0.25
    assert target.title == "ADA + Baseline + DA"


def test_nothing_composed_is_the_baseline():
    x = torch.rand(1, 3, 4, 4)
    empty = build([])
    assert empty.transform(x, "real") is x and empty.mix(x, -x) is x
    assert empty.d_adversarial(None, x) is x and empty.g_adversarial(None, x) is x
    assert empty.d_regularizer(x, None, None, None) is x and empty.d_loss(None) == 0 and empty.log() == {}


def test_arguments_are_bound():
    (method,) = build([("mine", Affine, {"factor": 3})]).methods.values()
    assert (method.factor, method.shift) == (3, 0) and isinstance(method.factor, float)
    with pytest.raises(ValueError, match="unknown argument of method 'mine' 'facto'. Did you mean 'factor'"):
        build([("mine", Affine, {"facto": 3})])


def test_a_name_may_come_once():
    with pytest.raises(ValueError, match="'none' comes twice"):
        build([("none", none.Method, {}), ("none", none.Method, {})])


class LinearD(Discriminator):
    """D(x) = level + <weights, x>, which keeps the batches that it was shown, reals before fakes."""

    def __init__(self, level: float, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weights = torch.nn.Parameter(scale * torch.randn(3, 16, 16))
        self.level = level
        self.seen: list[np.ndarray] = []

    def features(self, x):
        self.seen += [batch.numpy() for batch in x.detach().split(8)]
        return (x * self.weights).sum((1, 2, 3))[:, None]

    def score(self, features, c):
        return self.level + features


def half_ada(name: str, **others: dict) -> list[tuple[str, dict]]:
    """The plugins of an entry of config/methods.yaml; ADA's p is 0.5 and moves quickly."""
    return method_plugins(name, {"ada": {"p": 0.5, "interval": 1, "tune_kimg": 0.1}, **others})


def bcr(d, seen, x_real):
    """Of the images D has just seen, shifted (arXiv:2002.04724, arXiv:2006.06676)."""
    assert not np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[1], seen[3])
    return 10 * ((d[0] - d[2]) ** 2).mean() + 10 * ((d[1] - d[3]) ** 2).mean()


def lecam(d, seen, x_real):
    """At the first step, the anchors are the means of this batch (arXiv:2104.03310)."""
    real, fake = d
    return 0.3 * ((np.maximum(real - fake.mean(), 0) ** 2).mean() + (np.maximum(real.mean() - fake, 0) ** 2).mean())


def cr(d, seen, x_real):
    """The view is that of the image itself: flipped and shifted it has no hole (arXiv:1910.12027)."""
    assert (np.isclose(seen[0], 0).sum((1, 2, 3)) >= 3 * 16).all() and not np.isclose(seen[2], 0).any()
    return 10 * ((d[0] - d[2]) ** 2).mean()


def cr_of_the_image(d, seen, x_real):
    """With few images the view is the image (arXiv:2006.10738, sec. 4.2)."""
    np.testing.assert_array_equal(seen[2], x_real)
    return 10 * ((d[0] - d[2]) ** 2).mean()


@pytest.mark.parametrize(
    "plugins, term",
    [
        (half_ada("ada-bcr", bcr={"reach": 1 / 8}), bcr),
        (half_ada("ada-lecam", lecam={"weight": 0.3}), lecam),
        (method_plugins("cr-diffaugment"), cr),
        (method_plugins("cr-diffaugment-limited"), cr_of_the_image),
    ],
)
def test_d_learns_from_transformed_images_and_the_added_loss(make_spec, make_reals, plugins, term):
    steps = Trainer(make_spec(hyper={"r1_gamma": 0.0}, plugins=plugins), make_reals(), torch.device("cpu"))
    steps.D = LinearD(level=0.0, scale=0.05)
    x_real = steps.data.batch(0, 8)[0].numpy()
    steps.d_step(0, 0)
    seen, weights = steps.D.seen, steps.D.weights.detach().numpy()
    d = [np.einsum("nchw,chw->n", x, weights) for x in seen]
    adversarial = np.log1p(np.exp(-d[0])).mean() + np.log1p(np.exp(d[1])).mean()
    assert steps.tally.means()["loss_d"] == pytest.approx(adversarial + term(d, seen, x_real), rel=1e-4)
    assert not np.array_equal(seen[0], x_real), "the reals were not transformed"


def test_two_controllers_hear_the_same_logits_and_move_by_their_own_rules(make_spec, make_reals):
    """All logits are positive: r_t = 1 lies above both targets, and p rises by images / (1000 tune_kimg)."""
    plugins = half_ada("ada-apa", apa={"p": 1.0, "interval": 2, "tune_kimg": 0.4, "target": 0.2})
    steps = Trainer(make_spec(hyper={"r1_gamma": 0.0}, plugins=plugins), make_reals(), torch.device("cpu"))
    steps.D = LinearD(level=9.0, scale=0.001)
    for step in range(2):
        steps.d_step(8 * step, step)
    assert steps.method.log() == pytest.approx({"ada.p": 0.5 + 0.16, "apa.p": 1 + 0.04, "ada.r_t": 1, "apa.r_t": 1})
    # What APA takes for reals are this step's fakes, which ADA transforms anew in either role.
    real, fake = steps.D.seen[:2]
    assert not np.array_equal(real, fake)
    steps.method.methods["ada"].controller.p.zero_()
    steps.d_step(16, 2)
    np.testing.assert_array_equal(*steps.D.seen[-2:])


COMPOSITIONS = ["ada-bcr", "ada-lecam", "ada-apa", "cr-diffaugment", "relativistic"]


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_restart_continues_all_parts_bit_for_bit(make_spec, make_reals, name):
    fast = {"p": 0.5, "interval": 3, "tune_kimg": 0.1}
    plugins = method_plugins(name, {"ada": fast, "apa": fast, "lecam": {"weight": 0.3}})
    if name == "relativistic":
        plugins = [("diffaugment", {}), ("diggan", {}), *plugins]
    spec = make_spec(hyper=method_preset(name), plugins=plugins)

    def steps() -> Trainer:
        torch.manual_seed(0)
        return Trainer(spec, make_reals(), torch.device("cpu"))

    def train(these: Trainer, *iterations: int) -> dict[str, torch.Tensor]:
        for iteration in iterations:
            seed_step(0, 8 * iteration)
            these.g_step(8 * iteration, iteration)
            these.d_step(8 * iteration, iteration)
        states = {part: these.state_dict()[part] for part in ("G", "D", "method")}
        return {f"{part}.{key}": value.clone() for part, state in states.items() for key, value in state.items()}

    first, second = steps(), steps()
    before = train(first, 0, 1)
    second.load_state_dict(deepcopy(first.state_dict()))
    whole, halves = train(first, 2, 3), train(second, 2, 3)
    assert whole.keys() == halves.keys() == before.keys()
    for key, value in whole.items():
        assert torch.equal(value, halves[key]), key
    moved = [key.split(".") for key in whole if not torch.equal(whole[key], before[key])]
    parts = {key[2] for key in moved if key[0] == "method"}
    assert parts == {part for part, _ in plugins} & {"ada", "apa", "lecam"}, "a part's state did not move"
