"""Composition: every hook of every method, in order."""

from __future__ import annotations

import pytest
import torch

from augment import ada, base, da, diffaugment, none
from augment.compose import Compose, build


class Affine(base.Method):
    """Scales images and adds constants, so that the order of two of them shows."""

    title, paper = "Affine", "arXiv:0000.00000"

    def __init__(self, factor: float, shift: float = 0.0, reason: str | None = None) -> None:
        super().__init__()
        self.factor, self.shift, self.reason = factor, shift, reason
        self.seen: list[object] = []

    def prepare(self, networks):
        self.seen.append(networks)

    def transform(self, x, role):
        return x * self.factor + self.shift

    def mix(self, x_real, x_fake):
        return x_real * self.factor + x_fake * self.shift

    def d_loss(self, ctx):
        return torch.tensor(self.factor)

    def g_loss(self, ctx):
        return self.shift

    def observe(self, d_real, d_fake, cur_nimg):
        self.seen.append(cur_nimg)

    def observe_held_out(self, d_valid, cur_nimg):
        self.seen.append((d_valid, cur_nimg))

    def log(self):
        return {"p": self.factor, f"only_{self.factor:g}": self.shift}

    def skip(self, spec):
        return self.reason


@pytest.fixture
def pair() -> Compose:
    return build([("a", Affine, {"factor": 2.0, "shift": 1.0}), ("b", Affine, {"factor": 3.0, "shift": 5.0})])


def test_transforms_and_mixes_are_chained_and_losses_summed(pair):
    x, y = torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), 10.0)
    assert torch.equal(pair.transform(x, "real"), torch.full_like(x, (1 * 2 + 1) * 3 + 5))
    assert torch.equal(pair.mix(x, y), torch.full_like(x, (1 * 2 + 10) * 3 + 50))
    assert pair.d_loss(None) == 5
    assert pair.g_loss(None) == 6


def test_prepare_and_observe_reach_all(pair):
    networks = base.Networks(torch.nn.Identity(), torch.nn.Identity())
    pair.prepare(networks)
    pair.observe(torch.zeros(1, 1), torch.zeros(1, 1), 64)
    pair.observe_held_out("logits", 128)
    assert [m.seen for m in pair.methods.values()] == [[networks, 64, ("logits", 128)]] * 2


def test_held_out_images_are_needed_if_one_method_needs_them():
    for heuristic, needed in (("rt", False), ("rv", True)):
        method = build([("none", none.Method, {}), ("ada", ada.Method, {"heuristic": heuristic})])
        assert method.needs_held_out is needed


def test_only_keys_that_collide_are_prefixed(pair):
    assert pair.log() == {"a.p": 2.0, "b.p": 3.0, "only_2": 1.0, "only_3": 5.0}


def test_the_first_reason_to_skip_counts():
    reasons = (None, "needs labels", "needs 64 px")
    methods = {str(i): Affine(1.0, reason=reason) for i, reason in enumerate(reasons)}
    assert Compose(methods).skip({}) == "needs labels"
    assert Compose({"0": methods["0"]}).skip({}) is None


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
    assert empty.d_loss(None) == 0 and empty.log() == {} and empty.skip({}) is None


@pytest.mark.parametrize(
    "cls, kwargs, message",
    [
        (ada.Method, {"targt": 0.5}, "'targt'.*'target'.*Known: categories, heuristic, interval, p, target, tune_kimg"),
        (none.Method, {"p": 0.5}, "'p'.*Known: none"),
        (diffaugment.Method, {"policy": "colr"}, "'colr'.*'color'"),
        (Affine, {}, "needs factor"),
    ],
)
def test_bad_arguments_say_what_is_allowed(cls, kwargs, message):
    with pytest.raises(ValueError, match=message):
        build([("mine", cls, kwargs)])


def test_a_name_may_come_once():
    with pytest.raises(ValueError, match="'none' comes twice"):
        build([("none", none.Method, {}), ("none", none.Method, {})])
