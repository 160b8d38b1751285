"""Iterations as CUDA graphs: what may be captured, and that replays train what eager execution trains.

On a CPU a double of the graph (tests/helpers/recorded.py) makes the recorded calls again, without the step's Python.
"""

from __future__ import annotations

import copy
import logging
import re
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from leangan.augment.pipeline import resample
from leangan.core.spec import RunSpec
from leangan.plugins.method import Method
from leangan.plugins.registry import load, names
from leangan.training import capture, purity
from leangan.training.capture import WARM_UP, Part
from leangan.training.log import Tally
from leangan.training.purity import recorder_of, why_not_captured
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import PRESETS, run_of
from tests.helpers.recorded import recorded

CPU = torch.device("cpu")

EAGER = {"relativistic": "relativistic does not say that it can be captured"}
"""Methods whose steps follow the position of the run, and what is said of them."""

OTHERS = {
    "ada-linear": ("ada", {"heuristic": "linear"}),
    "dynamicd-widened": ("dynamicd", {"start": 0.5, "end": 1.0, "keep": 0, "random": False}),
}
"""Choices that take another way through a method than its defaults do."""

ITERATIONS = 6
"""The fewest in which every part is replayed, where the regularisers are due in every second one."""


@pytest.fixture(params=[(name, preset) for name in [*names("method"), *OTHERS] for preset in PRESETS], ids="-".join)
def spec(request, make_spec) -> RunSpec:
    """A run of each method with each backbone, in which both regularisers are due now and then."""
    case, preset = request.param
    name, arguments = OTHERS.get(case, (case, {}))
    found = run_of(name, make_spec, [preset], **{name: arguments})
    if isinstance(found, str):
        pytest.skip(found)
    often = {key: 2 for key in ("r1_interval", "pl_interval") if found.hyper.get(key)}
    return replace(found, hyper={**found.hyper, **often})


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The pipeline's way that reads nothing back, which a CPU does not take."""
    monkeypatch.setattr(resample, "warp_by_need", resample.warp_unread)


def train(trainer: Trainer, iterations: range) -> None:
    hyper = trainer.hyper
    trainer.validation_interval = 2
    for iteration in iterations:
        cur_nimg = iteration * hyper["batch"] * hyper["d_steps"]
        seed_step(0, cur_nimg)
        trainer.g_step(cur_nimg, iteration)
        for _ in range(hyper["d_steps"]):
            trainer.d_step(cur_nimg, iteration)
            cur_nimg += hyper["batch"]
        trainer.validate(cur_nimg, iteration)


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
    assert reason.startswith("D step: aten.mul.Tensor with 0.0") and reason.endswith("at iterations 1 and 840")


KEPT: dict[str, Tensor] = {}


def mean_that_moves(ctx):
    """A moving average that is another tensor after each step."""
    mean = ctx.d_real.detach().mean()
    KEPT["mean"] = 0.9 * KEPT.get("mean", mean) + 0.1 * mean
    return (ctx.d_real - KEPT["mean"]).square().mean()


FAULTS = {
    "every third step": (
        lambda ctx: ctx.d_real.sum() * 0 if ctx.cur_nimg // 8 % 3 else 0.0,
        "D step with regulariser: .*iterations 1 and 624960",
    ),
    "a number that grows": (
        lambda ctx: 0 * ctx.d_real.mean() * ctx.cur_nimg,
        "D step with regulariser: aten.mul.* with 8 and 4999680 ",
    ),
    "a tensor of the host": (lambda ctx: torch.tensor(ctx.cur_nimg / 7) * ctx.d_real.mean(), "D step.*1.14.*714240.0"),
    "reading back": (lambda ctx: float(ctx.d_real.detach().mean()), "D step.*meta"),
    "contents": (lambda ctx: ctx.d_real.detach().numpy().mean(), "D step.*TypeError"),
    "late": (lambda ctx: 0 * ctx.d_real.mean() if ctx.cur_nimg < 10**6 else 0.0, "D step.* at iterations 1 and 624960"),
    "a mean that moves": (mean_that_moves, "D step.*takes a tensor that an earlier step has made"),
    "another shape": (
        lambda ctx: 0 * ctx.x_real[: 1 + ctx.cur_nimg // 8 % 2].mean(),
        "D step.* at iterations 1 and 624960",
    ),
}


@pytest.mark.parametrize("loss, reason", FAULTS.values(), ids=FAULTS)
def test_a_method_that_is_wrong_about_itself_runs_eagerly(make_spec, monkeypatch, loss, reason):
    monkeypatch.setattr(load("method", "none"), "d_loss", lambda self, ctx: loss(ctx))
    assert re.match(reason, why_not_captured(make_spec(total_kimg=5000.0), 3, 0) or "none")


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


def addresses(trainer: Trainer) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in state(trainer.state_dict()).items()}


def test_replays_train_what_eager_steps_train(spec, make_reals, as_on_a_gpu):
    """The same bits in weights, moments, buffers and sums; and no tensor of the state has moved meanwhile."""
    trainers = []
    for record in (None, None if spec.method in EAGER else recorded):
        torch.manual_seed(0)
        trainers.append(Trainer(spec, make_reals(), CPU, record))
    eager, graphs = trainers
    train(graphs, range(WARM_UP))
    before = addresses(graphs)
    train(graphs, range(WARM_UP, ITERATIONS))
    train(eager, range(ITERATIONS))
    assert before.items() <= addresses(graphs).items()
    found = state(graphs.state_dict())
    for name, value in state(eager.state_dict()).items():
        assert torch.equal(value.nan_to_num(), found[name].nan_to_num()), name
    assert eager.tally.counts == graphs.tally.counts
    assert {name for name, part in graphs.parts.items() if part.replay is None} == (
        set(graphs.parts) if spec.method in EAGER else set()
    )


def test_a_checkpoint_is_continued_with_graphs_as_without(make_spec, make_reals):
    """Loaded into a process whose parts are captured already; sums and counts of the tick go on."""
    spec = make_spec("lecam", hyper={"pl_weight": 2.0})
    torch.manual_seed(0)
    eager, graphs = (Trainer(spec, make_reals(), CPU, record) for record in (None, recorded))
    train(graphs, range(4))
    train(eager, range(3))
    graphs.load_state_dict(copy.deepcopy(eager.state_dict()))
    for trainer in (eager, graphs):
        train(trainer, range(3, 12))
        assert trainer.tally.counts["loss_d"] == 12
    found = state(graphs.state_dict())
    assert all(torch.equal(value, found[name]) for name, value in state(eager.state_dict()).items())


def test_the_sums_of_a_tick_are_forgotten_where_they_lie():
    tally = Tally()
    tally.add(loss=torch.tensor([1.0, 3.0]), seldom=torch.tensor(torch.nan))
    (total, _), before = tally.sums.values(), tally.means()
    tally.clear()
    tally.add(loss=torch.tensor(7.0))
    assert before["loss"] == 2 and tally.means() == {"loss": 7.0} and tally.sums["loss"] is total
    assert tally.state_dict()["sums"].keys() == {"loss"}


def test_a_part_that_waits_for_the_gpu_is_not_captured(monkeypatch, caplog):
    """As torch tells it on a GPU, in the last call before the capture."""

    @contextmanager
    def waiting():
        yield ["method.py, line 7"]

    monkeypatch.setattr(capture, "noted_waits", waiting)
    calls: list[int] = []
    part = Part("D step", lambda cur_nimg: calls.append(cur_nimg), Tally(), lambda work: pytest.fail("captured"))
    for number in range(WARM_UP + 2):
        part(number)
    assert calls == list(range(WARM_UP + 2))
    assert caplog.messages == [
        "D step runs without a CUDA graph, which is slower: it waits for the GPU in method.py, line 7"
    ]


@pytest.mark.parametrize(
    "error, reason",
    [(torch.OutOfMemoryError("CUDA out of memory"), "too little memory"), (RuntimeError("no\nway"), "no")],
)
def test_what_cannot_be_captured_runs_eagerly_and_is_counted_once(caplog, error, reason):
    tally, total = Tally(), torch.zeros(())

    def step(cur_nimg: int, x: torch.Tensor) -> None:
        total.add_(x)
        tally.add(x=x)

    def refuse(work):
        tally.add(x=torch.ones(()))  # as a capture that fails midway has counted
        raise error

    part = Part("D step", step, tally, refuse)
    for number in range(WARM_UP + 3):
        part(number, torch.tensor(float(number)))
    assert total == sum(range(WARM_UP + 3)) and tally.counts == {"x": WARM_UP + 3}
    assert caplog.messages == [f"D step runs without a CUDA graph, which is slower: {reason}"]
