"""The loop around the steps: which random numbers an iteration has, and where a run that diverges was last well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from leangan.training import log
from leangan.training.loop import TrainResult, train
from leangan.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def latents(monkeypatch) -> list[Tensor]:
    """All latents that runs draw from here on."""
    drawn: list[Tensor] = []
    draw = Trainer.latents

    def noted(self: Trainer) -> tuple[Tensor, Tensor | None]:
        z, c = draw(self)
        drawn.append(z)
        return z, c

    monkeypatch.setattr(Trainer, "latents", noted)
    return drawn


def test_no_two_steps_and_no_two_seeds_draw_the_same_latents(make_spec, make_reals, tmp_path, latents):
    for seed in (0, 1):
        spec = make_spec(hyper={"d_steps": 2}, seed=seed, total_kimg=0.064, snapshot_kimg=0.064)
        train(spec, make_reals(), tmp_path / str(seed), CPU, 0.064, 1e9, lambda: False)
    assert len(latents) == 2 * 4 * (1 + 2)
    samples = torch.cat(latents)
    assert len(samples.unique(dim=0)) == len(samples)


def diverging(spec, reals, run_dir: Path, stop=lambda: False) -> TrainResult:
    return train(spec, reals, run_dir, CPU, 0.016, 0.0, stop)


def test_a_diverged_run_names_the_last_tick_with_finite_numbers(make_spec, make_reals, tmp_path, monkeypatch):
    """Also where it was interrupted in between. A tick has two steps of 8 images, those from the fourth on are nan."""
    means = log.Tally.means

    def broken(self: log.Tally) -> dict[str, float]:
        nan_from_the_fourth = {"loss_d": float("nan")} if next(ticks) >= 4 else {}
        return means(self) | nan_from_the_fourth

    monkeypatch.setattr(log.Tally, "means", broken)
    spec = make_spec(total_kimg=0.16, snapshot_kimg=0.16)
    ticks = iter(range(1, 20))
    assert diverging(spec, make_reals(), tmp_path / "whole").reason == "loss_d not finite between 0.048 and 0.064 kimg"
    ticks, calls = iter(range(1, 20)), iter(range(20))
    assert diverging(spec, make_reals(), tmp_path / "cut", lambda: next(calls) >= 6).cur_nimg == 48
    outcome = diverging(spec, make_reals(), tmp_path / "cut")
    assert (outcome.status, outcome.reason) == ("diverged", "loss_d not finite between 0.048 and 0.064 kimg")
