"""What learns in G under scale/shift: styles and biases of demodulated convolutions (arXiv:1904.01774)."""

from __future__ import annotations

import torch

from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer


def test_scales_and_shifts_move_and_the_rest_of_g_stays(make_spec, make_reals):
    torch.manual_seed(0)
    steps = Trainer(make_spec(plugins=[("scale_shift", {})]), make_reals(), torch.device("cpu"))
    before = {name: p.detach().clone() for name, p in steps.G.named_parameters()}
    d_before = steps.D.from_rgb.weight.detach().clone()
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    convs = [f"blocks.{i}.conv{j}" for i in range(3) for j in (0, 1) if (i, j) != (0, 0)]
    expected = {f"{conv}.{part}" for conv in convs for part in ("affine.weight", "affine.bias", "bias")}
    assert {name for name, p in steps.G.named_parameters() if not torch.equal(p, before[name])} == expected
    assert not torch.equal(steps.D.from_rgb.weight, d_before)


def test_random_weights_are_not_worth_keeping(make_spec):
    source = {"checkpoint": {"file": "a.pt", "sha256": "0" * 64}}
    assert "transfer" in refusal(make_spec(plugins=[("scale_shift", {})]))[1]
    assert refusal(make_spec(plugins=[("transfer", source), ("scale_shift", {})])) is None
