"""Methods that change the networks: what they add to G and D is in the checkpoint and in the snapshot."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from leangan.training import checkpoint
from leangan.training.loop import train
from leangan.training.snapshot import HEADER, load_generator

METHODS = {
    "spectral_norm": {},
    "auxiliary_rotation": {},
    "pagan": {"p": 0.5, "interval": 3},
    "adaptive_dropout": {"p": 0.5, "interval": 3},
    "minegan": {"freeze_g": False},
    "shallow_mapping": {"layers": 1},
}


@pytest.mark.parametrize("name", METHODS)
def test_two_halves_equal_the_whole_bit_for_bit(make_spec, make_reals, tmp_path, name):
    def run(folder: str, *kimgs: float) -> dict[str, torch.Tensor]:
        for kimg in kimgs:
            spec = make_spec(plugins=[(name, METHODS[name])], total_kimg=kimg)
            outcome = train(spec, make_reals(), tmp_path / folder, torch.device("cpu"), 0.032, 0.0, lambda: False)
            assert outcome.status == "done"
        steps = checkpoint.load_latest(tmp_path / folder / "ckpt", torch.device("cpu"))["steps"]
        return {f"{part}.{key}": value for part in ("G", "D", "method") for key, value in steps[part].items()}

    whole, halves = run("whole", 0.032), run("halves", 0.016, 0.032)
    assert whole.keys() == halves.keys()
    for key, value in whole.items():
        assert torch.equal(value, halves[key]) or value.isnan().all(), key
    snapshot = tmp_path / "whole" / "snapshots" / "000000.032.safetensors"
    with safe_open(str(snapshot), framework="pt") as file:
        assert json.loads(file.metadata()[HEADER])["plugins"] == (
            [name] if name in ("minegan", "shallow_mapping") else []
        )
    G = load_generator(snapshot)
    assert G(torch.randn(2, G.z_dim), None).isfinite().all()
