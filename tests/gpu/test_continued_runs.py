"""Runs that stop and continue on the device, and those that move between the CPU and a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from leangan.training import checkpoint
from leangan.training.loop import TrainResult, train
from leangan.training.trainer import Trainer
from tests.helpers.left_behind import CLOSE, difference, log, tensors
from tests.helpers.twins import CPU, random_reals

ITERATIONS, TICK = 12, 3  # a run that stops after 7 has begun a tick


@pytest.fixture
def spec(make_spec):
    """A conditional run with every part that a checkpoint holds."""
    hyper = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "mirror": True}
    return make_spec(hyper=hyper, conditional=True, total_kimg=8 * ITERATIONS / 1000)


def run(spec, run_dir: Path, device: torch.device, iterations: int | None = None) -> TrainResult:
    """Train to the end, or stop after so many iterations."""
    calls = iter(range(1000))
    stop = (lambda: next(calls) >= iterations) if iterations else (lambda: False)
    return train(spec, random_reals(spec, device), run_dir, device, 8 * TICK / 1000, 1e9, stop)


def test_as_runs_are_a_continued_one_stays_close_to_a_straight_one(device, spec, tmp_path, measured):
    torch.backends.cudnn.benchmark = True
    run(spec, tmp_path / "straight", device)
    assert run(spec, tmp_path / "cut", device, iterations=7).status == "interrupted"
    assert run(spec, tmp_path / "cut", device).status == "done"
    found = difference(log(tmp_path / "cut"), log(tmp_path / "straight"))
    measured(f"losses differ by {found:.1e}")
    assert found < CLOSE


def test_bit_for_bit_where_cudnn_is_deterministic(device, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    run(spec, tmp_path / "straight", device)
    assert run(spec, tmp_path / "cut", device, iterations=7).status == "interrupted"
    assert run(spec, tmp_path / "cut", device).status == "done"
    assert log(tmp_path / "cut") == log(tmp_path / "straight")
    ours, expected = tensors(tmp_path / "cut"), tensors(tmp_path / "straight")
    assert ours.keys() == expected.keys() and len(ours) > 100
    assert [name for name in ours if not torch.equal(ours[name], expected[name])] == []
    for folder in ("snapshots", "samples"):
        for file in sorted((tmp_path / "straight" / folder).iterdir()):
            assert file.read_bytes() == (tmp_path / "cut" / folder / file.name).read_bytes(), file


@pytest.mark.parametrize("first", ["cpu", "device"])
def test_a_checkpoint_continues_on_the_other_device(device, spec, tmp_path, first):
    """With other random numbers, since generators differ; the log of the first half stays as it is."""
    one, other = (CPU, device) if first == "cpu" else (device, CPU)
    assert run(spec, tmp_path, one, iterations=7).status == "interrupted"
    half = log(tmp_path)
    assert run(spec, tmp_path, other).status == "done"
    assert len(half) == 7 // TICK and log(tmp_path)[: len(half)] == half
    assert len(log(tmp_path)) == ITERATIONS // TICK
    assert all(tensor.isfinite().all() for tensor in tensors(tmp_path).values())


@pytest.mark.parametrize("first", ["cpu", "device"])
def test_a_checkpoint_holds_the_same_bits_after_a_journey(device, spec, tmp_path, first):
    """Read on the other device and written there. The optimisers' state lies where the parameters lie."""
    one, other = (CPU, device) if first == "cpu" else (device, CPU)
    run(spec, tmp_path, one, iterations=7)
    before = tensors(tmp_path)
    state = checkpoint.load_latest(tmp_path / "ckpt", other)
    steps = Trainer(spec, random_reals(spec, other), other)
    steps.load_state_dict(state["steps"])
    for player in (steps.g_player, steps.d_player):
        for entry in player.optimizer.state.values():
            assert {tensor.device.type for tensor in entry.values()} == {other.type}
    checkpoint.save(tmp_path / "ckpt", {**state, "steps": steps.state_dict()})
    after = tensors(tmp_path)
    assert before.keys() == after.keys() and len(before) > 100
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
