"""The controllers of p in closed form."""

from __future__ import annotations

import pytest
import torch

from leangan.augment import ada, adaptive_dropout, apa, pagan
from leangan.core.yaml_files import read
from leangan.plugins.arguments import bind
from leangan.plugins.controller import Controller, LinearController, ValidationController
from leangan.plugins.method import Networks

OVERFITTED = torch.full((64, 1), 3.0)  # D takes every real for real: r_t = 1
FAKE = torch.full((64, 1), -3.0)


def test_p_reaches_one_after_tune_kimg():
    controller = Controller(tune_kimg=64, interval=4)
    for step in range(1, 1001):
        controller.observe(OVERFITTED, FAKE)
        assert controller.p.item() == pytest.approx(step // 4 * 4 * 64 / 64_000, abs=1e-5)
    assert controller.r.item() == 1


def test_p_has_no_upper_bound():
    controller = Controller(tune_kimg=0.1, interval=1)
    for _ in range(5):
        controller.observe(OVERFITTED, FAKE)
    assert controller.p.item() == pytest.approx(5 * 64 / 100)


def test_p_falls_below_the_target_and_stops_at_zero():
    controller = Controller(p=0.01, tune_kimg=64, interval=4)
    steps = [controller.p.item()]
    for _ in range(12):
        controller.observe(-OVERFITTED, FAKE)
        steps.append(controller.p.item())
    # 4 * 64 / 64000 = 0.004 at steps 4, 8 and 12.
    assert steps == pytest.approx([0.01] * 4 + [0.006] * 4 + [0.002] * 4 + [0.0], abs=1e-7)


@pytest.mark.parametrize("positive, change", [(5, -1), (6, 0), (7, 1)])
def test_sign_of_the_mean_sign_against_the_target(positive, change):
    # r_t = (6 - 2) / 8 = 0.5 is the target itself; the size of the logits plays no part.
    logits = torch.cat([torch.full((positive,), 1e-3), torch.full((8 - positive,), -50.0)])
    controller = Controller(target=0.5, interval=2, tune_kimg=1, p=0.5)
    for part in logits.chunk(2):
        controller.observe(part[:, None], FAKE)
    assert controller.r.item() == pytest.approx((2 * positive - 8) / 8)
    assert controller.p.item() == pytest.approx(0.5 + change * 8 / 1000)


def test_only_the_last_interval_counts():
    controller = Controller(interval=2, p=0.5, tune_kimg=1)
    for logits in (OVERFITTED, OVERFITTED, -OVERFITTED, OVERFITTED):
        controller.observe(logits, FAKE)
    assert controller.r.item() == 0
    assert controller.p.item() == pytest.approx(0.5)


def test_state_survives_a_checkpoint_within_an_interval():
    torch.manual_seed(0)
    logits = torch.randn(11, 16, 1) + 0.8
    whole, first, second = (Controller(tune_kimg=1, p=0.2) for _ in range(3))
    for batch in logits:
        whole.observe(batch, FAKE)
    for batch in logits[:6]:
        first.observe(batch, FAKE)
    second.load_state_dict(first.state_dict())
    for batch in logits[6:]:
        second.observe(batch, FAKE)
    assert whole.log() == second.log()
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), second.buffers(), strict=True))


def test_ranks_are_summed(monkeypatch):
    # Of two ranks one sees 64 positive logits, the other 64 negative ones: r_t = 0 over 128 images.
    def add_the_other_rank(seen):
        seen += torch.tensor([-64.0, 64.0])

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other_rank)
    controller = Controller(interval=1, tune_kimg=1, p=0.5)
    controller.observe(OVERFITTED, FAKE)
    assert controller.r.item() == 0
    assert controller.p.item() == pytest.approx(0.5 - 128 / 1000)


def test_r_t_is_logged_once_known():
    controller = Controller(interval=2)
    controller.observe(OVERFITTED, FAKE)
    assert controller.log() == {"p": 0.0}
    controller.observe(OVERFITTED, FAKE)
    assert controller.log() == {"p": pytest.approx(128 / 500_000), "r_t": 1.0}


@pytest.mark.parametrize("wrong", [{"target": 1.5}, {"interval": 0}, {"tune_kimg": 0}, {"p": -0.1}])
def test_wrong_values_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Controller(**wrong)


# r_v


def level(value: float, n: int = 16) -> torch.Tensor:
    """Logits around `value`, whose signs say nothing."""
    return value + torch.linspace(-5, 5, n)[:, None]


@pytest.mark.parametrize("held_out, r_v", [(2.0, 0.0), (1.0, 0.25), (0.0, 0.5), (-2.0, 1.0), (-4.0, 1.0), (3.0, 0.0)])
def test_r_v_is_where_held_out_images_lie_between_training_images_and_fakes(held_out, r_v):
    controller = ValidationController(target=0.5, interval=1, tune_kimg=1, p=0.5)
    controller.observe(level(2.0), level(-2.0))
    controller.observe_validation(level(held_out))
    assert controller.r.item() == pytest.approx(r_v, abs=1e-6)
    assert controller.log()["r_v"] == controller.r.item()
    direction = (r_v > 0.5) - (r_v < 0.5)
    assert controller.p.item() == pytest.approx(0.5 + direction * 16 / 1000)


@pytest.mark.parametrize("fake", [2.0, 2.0 - 1e-7, 4.0])
def test_r_v_is_0_where_d_separates_nothing(fake):
    controller = ValidationController(interval=1, tune_kimg=1, p=0.5)
    controller.observe(torch.full((8, 1), 2.0), torch.full((8, 1), fake))
    controller.observe_validation(torch.full((8, 1), 2.0))
    assert controller.r.item() == 0
    assert controller.p.item() == pytest.approx(0.5 - 8 / 1000)


def test_r_v_takes_means_over_the_interval_and_all_images_count():
    # 5 D steps before the first held-out batch that counts, of unequal size; then a new interval.
    controller = ValidationController(interval=4, tune_kimg=1, p=0.5)
    controller.observe(level(4.0), level(0.0))
    controller.observe_validation(level(4.0))
    assert controller.log() == {"p": 0.5}
    for _ in range(4):
        controller.observe(level(4.0), level(0.0, 32))
    controller.observe_validation(level(1.0, 48))
    # r_v: the held-out mean is (4 * 16 + 1 * 48) / 64 = 1.75, that of the training images 4, that of the fakes 0.
    assert controller.r.item() == pytest.approx((4 - 1.75) / 4)
    assert controller.p.item() == pytest.approx(0.5 + 5 * 16 / 1000)
    for _ in range(4):
        controller.observe(level(1.0), level(-1.0))
    controller.observe_validation(level(1.0))
    assert controller.r.item() == pytest.approx(0, abs=1e-6)
    assert controller.p.item() == pytest.approx(0.5 + 5 * 16 / 1000 - 4 * 16 / 1000)


def test_r_v_state_survives_a_checkpoint_between_d_step_and_held_out_batch():
    torch.manual_seed(0)
    real, fake, held_out = torch.randn(3, 12, 16, 1) + torch.tensor([2.0, 0.0, 1.0])[:, None, None, None]
    whole, first, second = (ValidationController(interval=3, tune_kimg=1, p=0.2) for _ in range(3))

    def watch(controller, steps):
        for step in steps:
            controller.observe(real[step], fake[step])
            if step % 2:
                controller.observe_validation(held_out[step])

    watch(whole, range(12))
    watch(first, range(6))
    first.observe(real[6], fake[6])
    second.load_state_dict(first.state_dict())
    watch(second, range(7, 12))
    assert whole.log() == second.log() and whole.log()["p"] != 0.2
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), second.buffers(), strict=True))


def test_r_v_of_ranks_is_that_of_all_images(monkeypatch):
    # The other rank: reals at 0, fakes at -2, held-out images at -1, 16 each like this one's.
    other = {2: torch.tensor([[0.0, 16], [-32, 16]]), 1: torch.tensor([[-16.0, 16]])}
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(other[len(sums)]))
    controller = ValidationController(interval=1, tune_kimg=1, p=0.5)
    controller.observe(level(4.0), level(0.0))
    controller.observe_validation(level(1.0))
    # Means over both: train 2, fake -1, held out 0.
    assert controller.r.item() == pytest.approx(2 / 3)
    assert controller.p.item() == pytest.approx(0.5 + 32 / 1000)


def test_r_v_target_is_a_share():
    with pytest.raises(ValueError, match=r"target is -0.5; r_v lies in \[0, 1\]"):
        ValidationController(target=-0.5)


# Without feedback


def linear(make_spec, **arguments) -> LinearController:
    """In a run of 6400 images, which is 100 steps of 64."""
    controller = LinearController(**arguments)
    controller.prepare(make_spec(total_kimg=6.4))
    return controller


@pytest.mark.parametrize("logits", [OVERFITTED, -OVERFITTED], ids=["overfitted", "at a loss"])
def test_p_follows_the_images_so_far_every_4_d_steps_whatever_d_says(make_spec, logits):
    controller = linear(make_spec)
    for step in range(1, 101):
        controller.observe(logits, FAKE)
        assert controller.p.item() == pytest.approx(0.6 * (step - step % 4) / 100, abs=1e-7)
    assert controller.log() == {"p": pytest.approx(0.6), "r_t": logits.sign().mean().item()}


def test_p_begins_at_0_whatever_is_stated():
    assert LinearController(tune_kimg=1, p=0.4).log() == {"p": 0.0}


def test_p_of_a_long_run_does_not_drift(make_spec):
    """24,999,999 of 25 million images, of which float32 holds no sum of small batches."""
    controller = LinearController(interval=1)
    controller.prepare(make_spec(total_kimg=25_000))
    controller.seen.fill_(24_999_935 - 8)
    for batch in (8, 64):
        controller.observe(torch.ones(batch, 1), FAKE)
    assert controller.seen.item() == 24_999_999
    assert controller.p.item() == pytest.approx(0.6 * 24_999_999 / 25_000_000, rel=1e-7)


def test_a_schedule_counts_the_images_of_all_ranks(make_spec, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.mul_(2))
    controller = linear(make_spec, interval=1)
    controller.observe(OVERFITTED, FAKE)
    assert controller.p.item() == pytest.approx(0.6 * 128 / 6400)


def test_a_schedule_survives_a_checkpoint_within_an_interval(make_spec):
    whole, first, second = (linear(make_spec, interval=3) for _ in range(3))
    for _ in range(11):
        whole.observe(OVERFITTED, FAKE)
    for _ in range(4):
        first.observe(OVERFITTED, FAKE)
    second.load_state_dict(first.state_dict())
    for _ in range(7):
        second.observe(OVERFITTED, FAKE)
    assert whole.log() == second.log() and whole.log()["p"] == pytest.approx(0.6 * 9 / 100)
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), second.buffers(), strict=True))


@pytest.mark.parametrize("target", [-0.1, 1.1])
def test_p_at_the_end_is_a_probability(target):
    with pytest.raises(ValueError, match=rf"target is {target}; p at the end of the run lies in \[0, 1\]"):
        LinearController(target=target)


def test_ada_linear_takes_the_length_of_its_run(make_spec):
    method = ada.Method(heuristic="linear", target=0.5, interval=1)
    method.prepare(Networks(G=None, D=None, spec=make_spec(total_kimg=0.64)))
    method.observe(-OVERFITTED, FAKE, 0)
    assert method.log() == {"p": pytest.approx(0.05), "r_t": -1.0}
    assert (method.title, method.needs_validation) == ("ADA-Linear", False)


def test_ada_linear_is_one_run_whatever_its_unused_arguments():
    (entry,) = read("config/methods.yaml")["ada-linear"]
    bound = bind("ada", ada.Method, entry["ada"])
    assert bound == bind("ada", ada.Method, {"heuristic": "linear", "tune_kimg": 100, "p": 0.3})
    assert bound == bind("ada", ada.Method, bound)
    assert bound != bind("ada", ada.Method, {"heuristic": "linear", "interval": 8})
    feedback = bind("ada", ada.Method, {"tune_kimg": 100, "p": 0.3})
    assert (feedback["tune_kimg"], feedback["p"]) == (100, 0.3)


# ADA


def test_ada_by_either_heuristic():
    rt, rv = ada.Method(interval=1, tune_kimg=1), ada.Method(heuristic="rv", interval=1, tune_kimg=1)
    assert (rt.controller.target, rv.controller.target) == (0.6, 0.5)
    assert (rt.needs_validation, rv.needs_validation) == (False, True)
    # D is sure of its training images and of held-out ones alike: it generalises, and only r_t calls it overfitted.
    for method in (rt, rv):
        method.observe(OVERFITTED, FAKE, 64)
        method.observe_validation(OVERFITTED, 64)
    assert rt.log() == {"p": pytest.approx(0.064), "r_t": 1.0}
    assert rv.log() == {"p": 0.0, "r_v": 0.0}


@pytest.mark.parametrize(
    "method",
    [ada.Method(), ada.Method(heuristic="rv"), apa.Method(), pagan.Method(), adaptive_dropout.Method()],
    ids=lambda method: method.title,
)
def test_by_default_p_moves_every_4_d_steps_and_crosses_0_to_1_in_500_thousand_reals(method):
    for step in range(1, 9):
        method.observe(OVERFITTED, FAKE, 64 * step)
        method.observe_validation(FAKE, 64 * step)
        assert method.log()["p"] == pytest.approx(step // 4 * 256 / 500_000)


def test_adas_target_is_the_heuristics_own_unless_it_is_given():
    """An argument left out and the same value given are one run (leangan.core.spec)."""
    for heuristic, target in (("rt", 0.6), ("rv", 0.5), ("linear", 0.6)):
        bound = bind("ada", ada.Method, {"heuristic": heuristic})
        assert bound["target"] == target and bound == bind("ada", ada.Method, bound)
        assert bind("ada", ada.Method, {"heuristic": heuristic, "target": 0.1})["target"] == 0.1
    with pytest.raises(ValueError, match="'r_v'.*Known: linear, rt, rv"):
        bind("ada", ada.Method, {"heuristic": "r_v"})


def test_ada_has_the_published_categories():
    assert ada.Method().pipeline.categories == ("blit", "geom", "color")


def test_unknown_heuristic_names_the_nearest():
    with pytest.raises(ValueError, match="'r_v'.*Known: linear, rt, rv"):
        ada.Method(heuristic="r_v")
