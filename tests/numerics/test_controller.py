"""The controller of p in closed form."""

from __future__ import annotations

import pytest
import torch

from augment.controller import Controller

OVERFITTED = torch.full((64, 1), 3.0)  # D takes every real for real: r_t = 1


def test_p_reaches_one_after_tune_kimg():
    controller = Controller(tune_kimg=64, interval=4)
    for step in range(1, 1001):
        controller.observe(OVERFITTED)
        assert controller.p.item() == pytest.approx(step // 4 * 4 * 64 / 64_000, abs=1e-5)
    assert controller.r_t.item() == 1


def test_p_has_no_upper_bound():
    controller = Controller(tune_kimg=0.1, interval=1)
    for _ in range(5):
        controller.observe(OVERFITTED)
    assert controller.p.item() == pytest.approx(5 * 64 / 100)


def test_p_falls_below_the_target_and_stops_at_zero():
    controller = Controller(p=0.01, tune_kimg=64, interval=4)
    steps = [controller.p.item()]
    for _ in range(12):
        controller.observe(-OVERFITTED)
        steps.append(controller.p.item())
    # 4 * 64 / 64000 = 0.004 at steps 4, 8 and 12.
    assert steps == pytest.approx([0.01] * 4 + [0.006] * 4 + [0.002] * 4 + [0.0], abs=1e-7)


@pytest.mark.parametrize("positive, change", [(5, -1), (6, 0), (7, 1)])
def test_sign_of_the_mean_sign_against_the_target(positive, change):
    # r_t = (6 - 2) / 8 = 0.5 is the target itself; the size of the logits plays no part.
    logits = torch.cat([torch.full((positive,), 1e-3), torch.full((8 - positive,), -50.0)])
    controller = Controller(target=0.5, interval=2, tune_kimg=1, p=0.5)
    for part in logits.chunk(2):
        controller.observe(part[:, None])
    assert controller.r_t.item() == pytest.approx((2 * positive - 8) / 8)
    assert controller.p.item() == pytest.approx(0.5 + change * 8 / 1000)


def test_only_the_last_interval_counts():
    controller = Controller(interval=2, p=0.5, tune_kimg=1)
    for logits in (OVERFITTED, OVERFITTED, -OVERFITTED, OVERFITTED):
        controller.observe(logits)
    assert controller.r_t.item() == 0
    assert controller.p.item() == pytest.approx(0.5)


def test_state_survives_a_checkpoint_within_an_interval():
    torch.manual_seed(0)
    logits = torch.randn(11, 16, 1) + 0.8
    whole, first, second = (Controller(tune_kimg=1, p=0.2) for _ in range(3))
    for batch in logits:
        whole.observe(batch)
    for batch in logits[:6]:
        first.observe(batch)
    second.load_state_dict(first.state_dict())
    for batch in logits[6:]:
        second.observe(batch)
    assert whole.log() == second.log()
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), second.buffers(), strict=True))


def test_ranks_are_summed(monkeypatch):
    # Of two ranks one sees 64 positive logits, the other 64 negative ones: r_t = 0 over 128 images.
    def add_the_other_rank(seen):
        seen += torch.tensor([-64.0, 64.0])

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other_rank)
    controller = Controller(interval=1, tune_kimg=1, p=0.5)
    controller.observe(OVERFITTED)
    assert controller.r_t.item() == 0
    assert controller.p.item() == pytest.approx(0.5 - 128 / 1000)


def test_r_t_is_logged_once_known():
    controller = Controller(interval=2)
    controller.observe(OVERFITTED)
    assert controller.log() == {"p": 0.0}
    controller.observe(OVERFITTED)
    assert controller.log() == {"p": pytest.approx(128 / 500_000), "r_t": 1.0}


@pytest.mark.parametrize("wrong", [{"target": 1.5}, {"interval": 0}, {"tune_kimg": 0}, {"p": -0.1}])
def test_wrong_values_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Controller(**wrong)
