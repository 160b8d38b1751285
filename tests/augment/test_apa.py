"""Adaptive pseudo augmentation against its definition (arXiv:2111.06849)."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from leangan.augment.apa import Method
from leangan.runs.methods import bind_all, method_plugins
from leangan.training.trainer import Trainer


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_whole_images_are_replaced_with_probability_p(p):
    torch.manual_seed(0)
    x_real, x_fake = torch.rand(2000, 3, 4, 4), -torch.rand(2000, 3, 4, 4)
    mixed = Method(p=p).mix(x_real, x_fake)
    deceived = (mixed == x_fake).flatten(1).all(1)
    assert torch.equal(mixed[~deceived], x_real[~deceived])
    assert binomtest(int(deceived.sum()), 2000, p).pvalue > 1e-3


@pytest.mark.parametrize("positive, change", [(0.825, 1), (0.775, -1)])
def test_p_moves_by_the_share_of_positive_logits(positive, change):
    """lambda_r = E[sign D] is 2 * share - 1: 0.65 lies above the target of 0.6, 0.55 below; 500k images per unit."""
    d_real = torch.ones(40, 1)
    d_real[round(40 * positive) :] = -1
    method = Method(p=0.5)
    for step in range(1, 9):
        method.observe(d_real, torch.full((40, 1), float("nan")), 40 * step)
    assert method.log()["p"] == pytest.approx(0.5 + change * 320 / 500_000, rel=1e-6)
    assert method.log()["r_t"] == pytest.approx(2 * positive - 1)


def test_d_learns_from_its_own_fakes_at_full_strength(make_spec, make_reals, monkeypatch):
    seen = {}
    for p in (0.0, 1.0):
        torch.manual_seed(0)
        steps = Trainer(make_spec(plugins=[("apa", {"p": p})]), make_reals(), torch.device("cpu"))
        monkeypatch.setattr(steps.method, "d_loss", lambda ctx, p=p: seen.update({p: ctx}) or 0.0)
        steps.d_step(0, 0)
    assert torch.equal(seen[0.0].x_real, make_reals().batch(0, 8)[0])
    assert torch.equal(seen[1.0].x_real, seen[1.0].x_fake)


def test_labels_would_be_wrong(make_spec):
    assert "labels" in Method.skip(make_spec("apa", conditional=True)) and Method.skip(make_spec("apa")) is None


def test_with_ada_each_has_its_own_controller(make_spec, make_reals):
    assert method_plugins("ada-apa") == bind_all([("ada", {}), ("apa", {})])
    plugins = [("ada", {"p": 0.25}), ("apa", {"p": 0.75})]
    steps = Trainer(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    assert steps.method.log() == {"ada.p": 0.25, "apa.p": 0.75}
