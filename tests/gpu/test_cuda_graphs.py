"""Steps as CUDA graphs train what steps as written train; on a CPU the double of the graph stands in."""

from __future__ import annotations

import copy
import dataclasses
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from leangan.core.cuda_graph import Recorder, captured, use_graphs
from leangan.core.spec import RunSpec
from leangan.training import loop
from leangan.training.loop import train
from leangan.training.placement import Placement
from leangan.training.purity import why_not_captured
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer
from tests.helpers.every_method import runs
from tests.helpers.left_behind import CLOSE, difference, log, tensors
from tests.helpers.recorded import recorded
from tests.helpers.twins import random_reals

DUE = 48
"""An iteration in which all is due that is due every 16, for the fourth time: once captured, it is replayed there."""


@pytest.fixture
def recorder(device) -> Recorder:
    return captured if device.type == "cuda" else recorded


def iterate(trainer: Trainer, iterations: range) -> dict[str, float]:
    batch, d_steps = trainer.batch, trainer.hyper["d_steps"]
    for iteration in iterations:
        cur_nimg = iteration * batch * d_steps
        seed_step(0, cur_nimg)
        trainer.g_step(cur_nimg, iteration)
        for _ in range(d_steps):
            trainer.d_step(cur_nimg, iteration)
            cur_nimg += batch
        trainer.validate(cur_nimg, iteration)
    return trainer.tally.means()


def trainer_of(spec: RunSpec, device: torch.device, record: Recorder | None, placement: Placement = "auto") -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(spec, random_reals(spec, device, placement=placement), device, record)
    trainer.validation_interval = 16
    return trainer


METHODS = {name: spec for name, spec in runs().items() if spec.method != "relativistic"}


@pytest.mark.parametrize("autotune", [False, True])
@pytest.mark.parametrize("spec", METHODS.values(), ids=METHODS)
def test_a_replayed_iteration_is_that_of_every_method(card, spec, measured, autotune):
    """From one state, by replays and as it is written.

    Kernels that add in any order, or that autotune chooses, round otherwise, of which Adam makes more.
    """
    torch.backends.cudnn.benchmark = autotune
    spec = dataclasses.replace(spec, hyper={**spec.hyper, "batch": 8})
    graphs, eager = trainer_of(spec, card, captured), trainer_of(spec, card, None)
    iterate(graphs, range(DUE))
    assert all(part.replay for part in graphs.parts.values())
    state = copy.deepcopy(graphs.state_dict())
    eager.load_state_dict(state)
    before = {name: tensor.clone() for name, tensor in eager.G.state_dict().items()}
    for trainer in (graphs, eager):
        iterate(trainer, range(DUE, DUE + 1))
    moved = distance(eager.G.state_dict(), before)
    apart = max(distance(getattr(graphs, part).state_dict(), getattr(eager, part).state_dict()) for part in "GD")
    measured(f"weights {apart:.1e} apart after an iteration that moves G by {moved:.1e}")
    assert moved > 0 and apart < 0.1 * moved


def distance(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """The L2 norm of the difference of two states."""
    squares = ((one[name].double() - two[name].double()).square().sum().item() for name in one)
    return sum(squares) ** 0.5


@pytest.mark.parametrize("placement", ["device", "host"])
def test_graph_and_eager_agree_over_many_iterations(device, recorder, make_spec, measured, monkeypatch, placement):
    """Bit for bit where cuDNN is deterministic, and nothing else adds in any order; also while a thread reads ahead."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    spec = make_spec(hyper={"pl_weight": 2.0, "style_mixing": 0.9})
    eager, graphs = (trainer_of(spec, device, record, placement) for record in (None, recorder))
    iterations = 200 if device.type == "cuda" else 40
    for start in range(0, iterations, 20):
        part = range(start, start + 20)
        assert iterate(eager, part) == iterate(graphs, part), f"at iteration {start}"
    measured(f"{iterations} iterations equal bit for bit")


def test_16_bits(card, make_spec):
    hyper = {"half_resolutions": 2, "half_type": "float16", "conv_clamp": 256, "pl_weight": 2.0, "batch": 8}
    trainer = trainer_of(make_spec("ada", hyper=hyper), card, captured)
    means = iterate(trainer, range(DUE))
    assert all(part.replay for part in trainer.parts.values())
    assert all(torch.tensor(list(means.values())).isfinite())


@pytest.fixture
def spec(make_spec) -> RunSpec:
    hyper = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "mirror": True}
    return make_spec(hyper=hyper, conditional=True, total_kimg=8 * 24 / 1000)


def test_a_run_with_graphs_is_stopped_and_continued_without(device, recorder, spec, tmp_path, monkeypatch, caplog):
    """Its checkpoint is taken between replays; its pictures and snapshots do not disturb the graphs."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)

    def run(folder: Path, graphs: bool, iterations: int | None = None) -> str:
        calls = iter(range(1000))
        stop = (lambda: next(calls) >= iterations) if iterations else (lambda: False)
        use_graphs(graphs)
        record = recorded if graphs and device.type == "cpu" else None
        with monkeypatch.context() as patch:
            if record:
                patch.setattr(loop, "recorder_of", lambda *run: record)
            return train(spec, random_reals(spec, device), folder, device, 0.024, 1e9, stop).status

    with caplog.at_level(logging.INFO):
        assert run(tmp_path / "graphs", True) == "done"
    assert device.type == "cpu" or "steps run as CUDA graphs" in caplog.text
    assert "without a CUDA graph" not in caplog.text
    assert run(tmp_path / "eager", False) == "done"
    assert run(tmp_path / "both", True, iterations=13) == "interrupted" and run(tmp_path / "both", False) == "done"
    for folder in ("graphs", "both"):
        assert difference(log(tmp_path / folder), log(tmp_path / "eager")) < CLOSE
        assert tensors(tmp_path / folder).keys() == tensors(tmp_path / "eager").keys()


REFUSED = """
import torch
from leangan.core.cuda_graph import captured, noted_waits

x = torch.ones(4, device="cuda")

def add(number):
    x.add_(number() if callable(number) else number)

with noted_waits() as waits:
    add(x.sum().item)
    add(torch.tensor(0.5, device="cuda"))
assert len(waits) == 2, waits
with noted_waits() as waits:
    add(1)
assert not waits, waits
x.fill_(1)
try:
    captured(lambda: add(x.sum().item))
except Exception as error:
    print(f"refused by {type(error).__name__}")
    if isinstance(error, RuntimeError):
        replay = captured(lambda: add(1))
        replay(), replay()
        assert x.tolist() == [3.0] * 4
        torch.rand(3, device="cuda")
"""


def test_what_waits_for_the_gpu_is_noted_and_refused_by_a_capture(card):
    """In a process of its own: some versions of torch do not recover from it, which is a ConfigError."""
    process = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() in (
        "refused by ConfigError",
        "refused by AcceleratorError",
        "refused by RuntimeError",
    )


@pytest.mark.parametrize("name", ["cifar", "diffaugment-cifar", "biggan-cifar"])
def test_published_presets_may_be_captured(make_spec, name):
    assert why_not_captured(make_spec("ada", of=name, hyper={"batch": 4, **small(name)}, resolution=32), 3, 0) is None


def small(name: str) -> dict:
    return {} if name.startswith("biggan") else {"fmap_max": 8, "mbstd_group": 4}
