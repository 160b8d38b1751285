"""Which layers of D are frozen, counted by hand from the image (arXiv:2002.10964; arXiv:2006.06676, fig. 9)."""

from __future__ import annotations

import pytest
import torch

from leangan.augment.freeze_d import Method
from leangan.core.errors import ConfigError
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer

# D at 16 px, from the image on.
ORDER = ["from_rgb", *(f"blocks.{i}.{part}" for i in (0, 1) for part in ("conv0", "conv1", "skip")), "conv", "dense"]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_first_layers_are_frozen_and_no_other(make_spec, count, classes):
    D = build_networks(make_spec(plugins=[("freeze_d", {"layers": count})]), 3, classes)[2]
    frozen = {name.rpartition(".")[0] for name, p in D.named_parameters() if not p.requires_grad}
    free = {name.rpartition(".")[0] for name, p in D.named_parameters() if p.requires_grad}
    assert frozen == set(ORDER[:count]) and free >= {*ORDER[count:], "output"}


def test_frozen_layers_stay_through_a_step_with_r1_and_the_others_move(make_spec, make_reals):
    torch.manual_seed(0)
    steps = Trainer(make_spec(plugins=[("freeze_d", {"layers": 4})]), make_reals(), torch.device("cpu"))
    weights = {name.removesuffix(".weight"): p for name, p in steps.D.named_parameters() if name.endswith("weight")}
    before = {name: p.detach().clone() for name, p in weights.items()}
    steps.d_step(0, 0)
    moved = {name for name, p in weights.items() if not torch.equal(p, before[name])}
    assert moved == {*ORDER[4:], "output"}


def test_the_layers_of_a_normalised_d_are_the_same(make_spec):
    D = build_networks(make_spec(plugins=[("spectral_norm", {}), ("freeze_d", {"layers": 3})]), 3, 0)[2]
    frozen = {name for name, p in D.named_parameters() if not p.requires_grad}
    places = {name.split(".parametrizations")[0].removesuffix(".weight").removesuffix(".bias") for name in frozen}
    assert places == set(ORDER[:3])


def test_the_default_is_the_best_of_the_paper_at_256():
    assert Method().layers == 10


def test_the_last_layer_has_to_learn(make_spec):
    with pytest.raises(ConfigError, match="layers is 10, but D at 16 px has 10.*to 9 at most"):
        build_networks(make_spec(plugins=[("freeze_d", {"layers": 10})]), 3, 0)


def test_random_weights_are_not_worth_keeping(make_spec):
    assert "transfer" in refusal(make_spec(plugins=[("freeze_d", {})]))[1]
