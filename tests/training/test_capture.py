"""Iterations as CUDA graphs: what may be captured, and that replays train what eager execution trains.

On a CPU a double of the graph (tests/helpers/recorded.py) makes the recorded calls again, without the step's Python.
"""

from __future__ import annotations

import logging
import re

import pytest
import torch
from torch import Tensor

from leangan.augment.pipeline import band, resample
from leangan.core.spec import RunSpec
from leangan.plugins.method import Method
from leangan.plugins.registry import load, names
from leangan.training import purity
from leangan.training.capture import WARM_UP, Part
from leangan.training.ema import Ema
from leangan.training.log import Tally
from leangan.training.purity import recorder_of, why_not_captured
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import PRESETS, run_of
from tests.helpers.recorded import recorded

CPU = torch.device("cpu")

EAGER = {"relativistic": "relativistic does not say that it can be captured"}
"""Methods whose steps follow the position of the run, and what is said of them."""

ITERATIONS = 10


@pytest.fixture(params=[(name, preset) for name in names("method") for preset in PRESETS], ids="-".join)
def spec(request, make_spec) -> RunSpec:
    """A run of each method with each backbone, in which both regularisers are due now and then."""
    name, preset = request.param
    found = run_of(name, make_spec, [preset])
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The pipeline's way that reads nothing back, which a CPU does not take."""
    monkeypatch.setattr(resample, "warp_by_need", resample.warp_unread)
    monkeypatch.setattr(band, "_blocks", lambda matrix: [(0, matrix.shape[1], matrix)])


def train(trainer: Trainer, iterations: range) -> Ema:
    hyper = trainer.hyper
    ema = Ema(trainer.G, hyper["ema_half_life_kimg"], 0.05, 0)
    for iteration in iterations:
        cur_nimg = iteration * hyper["batch"] * hyper["d_steps"]
        seed_step(0, cur_nimg)
        trainer.g_step(cur_nimg, iteration)
        ema.update(trainer.G, cur_nimg, hyper["batch"])
        for _ in range(hyper["d_steps"]):
            trainer.d_step(cur_nimg, iteration)
            cur_nimg += hyper["batch"]
        trainer.validate(cur_nimg, iteration)
    return ema


def state(value, name: str = "") -> dict[str, Tensor]:
    """All tensors of a nested state by their path."""
    if isinstance(value, Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: tensor for key, inner in items for path, tensor in state(inner, f"{name}.{key}").items()}


# ---- Which runs ----


def test_steps_do_the_same_at_every_iteration(spec):
    """On the meta device; nothing is read back either."""
    reason = why_not_captured(spec, 3, 0)
    assert (reason or "").startswith(EAGER.get(spec.method, "")) and (reason is None) == (spec.method not in EAGER)


@pytest.mark.parametrize("name", EAGER)
def test_what_follows_the_position_says_so_for_a_reason(make_spec, monkeypatch, name):
    monkeypatch.setattr(load("method", name), "capturable", True)
    reason = why_not_captured(run_of(name, make_spec), 3, 0)
    assert reason.startswith("D step: aten.mul.Tensor with 0.0") and reason.endswith("at iterations 1 and 2")


FAULTS = {
    "every third step": (lambda ctx: ctx.d_real.sum() * 0 if ctx.cur_nimg // 8 % 3 else 0.0, "D step: .*iterations 1 and 3"),
    "a number that grows": (lambda ctx: 0 * ctx.d_real.mean() * ctx.cur_nimg, "D step: aten.mul.* with 8 and 16 "),
    "a tensor of the host": (lambda ctx: torch.tensor(ctx.cur_nimg / 7) * ctx.d_real.mean(), "D step: .*1.14.*2.28"),
    "reading back": (lambda ctx: float(ctx.d_real.detach().mean()), "D step: .*meta"),
    "another shape": (lambda ctx: 0 * ctx.x_real[: 1 + ctx.cur_nimg // 8 % 2].mean(), "D step: aten.slice"),
}


@pytest.mark.parametrize("loss, reason", FAULTS.values(), ids=FAULTS)
def test_a_method_that_is_wrong_about_itself_runs_eagerly(make_spec, monkeypatch, loss, reason):
    monkeypatch.setattr(load("method", "none"), "d_loss", lambda self, ctx: loss(ctx))
    assert re.match(reason, why_not_captured(make_spec(), 3, 0) or "none")


def test_the_log_says_why_a_run_has_no_graphs(make_spec, make_reals, monkeypatch, caplog):
    monkeypatch.setattr(purity, "why_not_captured", lambda *run: "3 processes train it together")
    with caplog.at_level(logging.INFO, "training"):
        assert recorder_of(make_spec(), make_reals(), torch.device("cuda")) is None
    assert "no CUDA graphs, which is slower. 3 processes train it together" in caplog.text
    assert recorder_of(make_spec(), make_reals(), CPU) is None


def test_a_method_is_eager_unless_it_says_otherwise(make_spec):
    assert Method.capturable is False
    assert load("method", "diggan")(interval=1).capturable and not load("method", "diggan")(interval=2).capturable


# ---- What they train ----


def test_replays_train_what_eager_steps_train(spec, make_reals, as_on_a_gpu):
    """The same bits in weights, moments, buffers and sums; and no tensor of the state has moved meanwhile."""
    trainers = []
    for record in (None, recorded):
        torch.manual_seed(0)
        trainers.append(Trainer(spec, make_reals(), CPU, None if spec.method in EAGER else record))
    eager, graphs = trainers
    train(graphs, range(2))
    before = {name: tensor.data_ptr() for name, tensor in state(graphs.state_dict()).items()}
    averages = [train(eager, range(ITERATIONS)), train(graphs, range(2, ITERATIONS))]
    after = state(graphs.state_dict())
    assert {name: after[name].data_ptr() for name in before if ".sums." not in name} == {
        name: address for name, address in before.items() if ".sums." not in name
    }
    for name, value in state(eager.state_dict()).items():
        assert torch.equal(value, after[name]), name
    assert eager.tally.counts == graphs.tally.counts
    del averages
    if spec.method not in EAGER:
        assert all(part.replay for part in graphs.parts.values() if part.calls >= WARM_UP)
        assert graphs.parts["G step"].replay and graphs.parts["D step"].replay
