"""Steps as CUDA graphs train what steps as written train; on a CPU the double of the graph stands in."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch

from leangan.core.cuda_graph import Recorder, captured
from leangan.core.spec import RunSpec
from leangan.training import loop
from leangan.training.loop import train
from leangan.training.purity import why_not_captured
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer
from tests.helpers.every_method import runs
from tests.helpers.left_behind import CLOSE, difference, log, tensors
from tests.helpers.recorded import recorded
from tests.helpers.twins import random_reals

CAPTURED = 33
"""Iterations after which also what is due every 16 has been captured."""


@pytest.fixture
def recorder(device) -> Recorder:
    return captured if device.type == "cuda" else recorded


def iterate(trainer: Trainer, count: int, start: int = 0) -> dict[str, float]:
    batch, d_steps = trainer.batch, trainer.hyper["d_steps"]
    for iteration in range(start, start + count):
        cur_nimg = iteration * batch * d_steps
        seed_step(0, cur_nimg)
        trainer.g_step(cur_nimg, iteration)
        for _ in range(d_steps):
            trainer.d_step(cur_nimg, iteration)
            cur_nimg += batch
        trainer.validate(cur_nimg, iteration)
    return trainer.tally.means()


METHODS = {name: spec for name, spec in runs().items() if spec.method != "relativistic"}


@pytest.mark.parametrize("spec", METHODS.values(), ids=METHODS)
def test_every_method_is_captured_and_trains_the_same(card, recorder, spec, measured, monkeypatch):
    """Without autotune the kernels are the same; atomic additions make the rest differ in rounding."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    spec = dataclasses.replace(spec, hyper={**spec.hyper, "batch": 8})
    means = []
    for record in (None, None, recorder):
        torch.manual_seed(0)
        trainer = Trainer(spec, random_reals(spec, card), card, record)
        means.append(iterate(trainer, CAPTURED))
    assert all(part.replay for part in trainer.parts.values())
    apart, graphs = (max(abs(other[name] - means[0][name]) for name in means[0]) for other in means[1:])
    measured(f"means of losses and logits: {graphs:.1e} apart with graphs, {apart:.1e} without")
    assert means[0].keys() == means[2].keys()
    assert graphs <= 10 * apart + 1e-4


def test_graph_and_eager_agree_over_many_iterations(device, recorder, make_spec, measured, monkeypatch):
    """Bit for bit where cuDNN is deterministic, and nothing else adds in any order."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    spec = make_spec(hyper={"pl_weight": 2.0, "style_mixing": 0.9})
    trainers = []
    for record in (None, recorder):
        torch.manual_seed(0)
        trainers.append(Trainer(spec, random_reals(spec, device), device, record))
    eager, graphs = trainers
    iterations = 200 if device.type == "cuda" else 40
    for start in range(0, iterations, 20):
        one, two = iterate(eager, 20, start), iterate(graphs, 20, start)
        assert one == two, f"at iteration {start}"
    measured(f"{iterations} iterations equal bit for bit")


def test_16_bits(card, recorder, make_spec):
    hyper = {"half_resolutions": 2, "half_type": "float16", "conv_clamp": 256, "pl_weight": 2.0, "batch": 8}
    torch.manual_seed(0)
    spec = make_spec("ada", hyper=hyper)
    trainer = Trainer(spec, random_reals(spec, card), card, recorder)
    means = iterate(trainer, CAPTURED)
    assert all(part.replay for part in trainer.parts.values())
    assert all(torch.tensor(list(means.values())).isfinite())


@pytest.fixture
def spec(make_spec) -> RunSpec:
    hyper = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "mirror": True}
    return make_spec(hyper=hyper, conditional=True, total_kimg=8 * 24 / 1000)


def test_a_run_with_graphs_is_stopped_and_continued_without(device, recorder, spec, tmp_path, monkeypatch, caplog):
    """Its checkpoint is taken between replays; its pictures and snapshots do not disturb the graphs."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    if device.type == "cpu":
        monkeypatch.setattr(loop, "recorder_of", lambda *run: recorded)

    def run(folder: Path, graphs: bool, iterations: int | None = None) -> str:
        calls = iter(range(1000))
        stop = (lambda: next(calls) >= iterations) if iterations else (lambda: False)
        reals = random_reals(spec, device)
        return train(spec, reals, folder, device, 0.024, 1e9, stop, cuda_graphs=graphs).status

    with caplog.at_level(logging.INFO):
        assert run(tmp_path / "graphs", True) == "done"
    assert device.type == "cpu" or "steps run as CUDA graphs" in caplog.text
    assert "without a CUDA graph" not in caplog.text
    assert run(tmp_path / "eager", False) == "done"
    assert run(tmp_path / "both", True, iterations=13) == "interrupted" and run(tmp_path / "both", False) == "done"
    for folder in ("graphs", "both"):
        assert difference(log(tmp_path / folder), log(tmp_path / "eager")) < CLOSE
        assert tensors(tmp_path / folder).keys() == tensors(tmp_path / "eager").keys()


def test_what_waits_for_the_gpu_is_refused_by_a_capture(card):
    x = torch.ones(4, device=card)

    def add(number) -> None:
        x.add_(number() if callable(number) else number)

    with pytest.raises(RuntimeError):
        captured(lambda: add(x.sum().item))
    torch.cuda.synchronize()
    replay = captured(lambda: add(1))
    replay(), replay()
    assert x.tolist() == [3.0] * 4


@pytest.mark.parametrize("name", ["cifar", "diffaugment-cifar", "biggan-cifar"])
def test_published_presets_may_be_captured(make_spec, name):
    assert why_not_captured(make_spec("ada", of=name, hyper={"batch": 4, **small(name)}, resolution=32), 3, 0) is None


def small(name: str) -> dict:
    return {} if name.startswith("biggan") else {"fmap_max": 8, "mbstd_group": 4}
