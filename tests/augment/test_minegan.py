"""The miner before the mapping network, and its two stages (arXiv:1912.05270)."""

from __future__ import annotations

import copy
import hashlib

import pytest
import torch
import torch.nn.functional as F

from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.loop import train
from leangan.training.snapshot import load_generator
from leangan.training.trainer import Trainer


def test_g_shows_the_image_of_the_mined_latent(make_spec):
    torch.manual_seed(0)
    G = build_networks(make_spec(plugins=[("minegan", {})]), 3, 0)[1].eval()
    plain = build_networks(make_spec(), 3, 0)[1].eval()
    plain.load_state_dict({k: v for k, v in G.state_dict().items() if "miner" not in k})
    z = torch.randn(4, G.z_dim)
    first, second = (G.get_parameter(f"mapping.miner.{i}.weight") / G.z_dim**0.5 for i in (0, 1))
    mined = 2**0.5 * F.leaky_relu(z @ first.T, 0.2) @ second.T
    torch.testing.assert_close(
        G(z, None, noise_mode="const"), plain(mined, None, noise_mode="const"), rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(G(z, None, noise_mode="const"), plain(z, None, noise_mode="const"), atol=1e-3)


def test_the_average_has_a_miner_of_its_own(make_spec):
    G = build_networks(make_spec(plugins=[("minegan", {})]), 3, 0)[1].eval()
    average, z = copy.deepcopy(G), torch.randn(2, G.z_dim)
    before = average(z, None, noise_mode="const")
    with torch.no_grad():
        G.mapping.miner[1].weight.mul_(torch.randn(G.z_dim))
    torch.testing.assert_close(average(z, None, noise_mode="const"), before)
    assert not torch.allclose(G(z, None, noise_mode="const"), before, atol=1e-3)


@pytest.mark.parametrize("freeze_g", [True, False])
def test_what_learns_in_each_stage(make_spec, make_reals, freeze_g):
    torch.manual_seed(0)
    plugins = [("minegan", {"freeze_g": freeze_g})]
    steps = Trainer(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    before = {name: p.detach().clone() for name, p in steps.G.named_parameters()}
    steps.g_step(0, 0)
    moved = {name for name, p in steps.G.named_parameters() if not torch.equal(p, before[name])}
    miner = {f"mapping.miner.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    assert moved == miner if freeze_g else moved > miner | {"const"}


def test_both_stages_follow_from_checkpoints(make_spec, make_reals, tmp_path):
    """An earlier run without a miner, then the miner alone, then all."""
    sources, states = [], []
    for stage, miner in enumerate(([], [("minegan", {})], [("minegan", {"freeze_g": False})])):
        transfer = [("transfer", {"checkpoint": source}) for source in sources[-1:]]
        spec = make_spec(total_kimg=0.016, plugins=transfer + miner, seed=stage)
        assert refusal(spec) is None
        train(spec, make_reals(), tmp_path / str(stage), torch.device("cpu"), 0.064, 0.0, lambda: False)
        path = max((tmp_path / str(stage) / "ckpt").glob("*.pt"))
        sources.append({"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        states.append(torch.load(path, weights_only=True)["steps"]["G"])
        load_generator(max((tmp_path / str(stage) / "snapshots").glob("*")))
    torch.testing.assert_close(states[1]["const"], states[0]["const"], rtol=0, atol=0)
    assert not torch.equal(states[2]["const"], states[1]["const"])
    # Two steps of Adam move a weight by (1 + sqrt(2)) lr at most; a miner drawn anew would differ by about 1.
    key = "mapping.miner.0.weight"
    assert (states[2][key] - states[1][key]).abs().max() < 2.5 * 0.008
