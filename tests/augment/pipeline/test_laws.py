"""Drawing by many laws at once: gates, distributions, independence, and what becomes of each number."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from leangan.augment.pipeline.laws import LAWS, ROTATE, choice, draw, normal, uniform

ALL = {name: law for laws in LAWS.values() for name, law in laws.items()}
MANY = torch.zeros(()).expand(20_000, 3, 8, 8)

UNIFORM = {"rotate": math.pi, "rotate_again": math.pi, "hue": math.pi, "translate_whole": 1 / 8}
NORMAL = {"scale": 0.2, "scale_anisotropic": 0.2, "translate": 1 / 8, "brightness": 0.2, "contrast": 0.5}
NORMAL |= {"saturation": 1.0, "band_1": 1.0, "band_2": 1.0, "band_3": 1.0, "band_4": 1.0, "noise": 0.1}
CHOICES = {"flip_x": 2, "luma_flip": 2, "rotate90": 4}


@pytest.fixture(scope="module")
def drawn() -> dict[str, torch.Tensor]:
    """Numbers by all laws of the pipeline, with p = 0.6."""
    torch.manual_seed(0)
    return draw(MANY, torch.tensor(0.6), ALL)


def is_open(name: str, numbers: torch.Tensor) -> torch.Tensor:
    """Which gates are open, bool [N]; an option 0 looks like a closed gate."""
    return (numbers.isfinite() if name == "cutout" else numbers != 0).all(1)


@pytest.mark.parametrize("name", ALL)
def test_each_of_many_laws_is_as_published(drawn, name):
    numbers = drawn[name]
    assert numbers.shape == (len(MANY), 2 if name in ("translate_whole", "translate", "cutout") else 1)
    if name in CHOICES:
        share = 0.6 / CHOICES[name]
        counts = torch.bincount(numbers[:, 0].long(), minlength=CHOICES[name])
        expected = [len(MANY) * (0.4 + share)] + [len(MANY) * share] * (CHOICES[name] - 1)
        assert stats.chisquare(counts, expected).pvalue > 1e-3
        return
    chance = 1 - math.sqrt(1 - 0.6) if name.startswith("rotate") else 0.6
    opened = is_open(name, numbers)
    assert stats.binomtest(int(opened.sum()), len(MANY), chance).pvalue > 1e-3
    for column in numbers[opened].T:
        if name in NORMAL:
            law = stats.norm(scale=NORMAL[name]).cdf
        else:
            reach = UNIFORM.get(name, 0)
            law = stats.uniform(-reach, 2 * reach).cdf if reach else stats.uniform().cdf
        assert stats.kstest(column, law).pvalue > 1e-3


def test_gates_and_numbers_of_different_laws_know_nothing_of_each_other(drawn):
    gates = {name: is_open(name, numbers).double() for name, numbers in drawn.items()}
    columns = [column for name, numbers in drawn.items() if name != "cutout" for column in numbers.T]
    # The two numbers of a translation, of which there are two, have a gate in common: both are zero or none is.
    for rows, in_common in ((list(gates.values()), 0), (columns, 0), ([column.abs() for column in columns], 2)):
        correlation = torch.stack(rows).double().corrcoef().abs().triu(1)
        assert (correlation > 4.5 / len(MANY) ** 0.5).sum() == in_common


def test_a_row_of_laws_may_come_in_any_order():
    torch.manual_seed(1)
    laws = {"a": normal(1.0), "b": choice(3), "c": normal(2.0, count=2), "d": uniform(5.0)}
    numbers = draw(MANY, 1.0, laws)
    assert {name: each.shape[1] for name, each in numbers.items()} == {"a": 1, "b": 1, "c": 2, "d": 1}
    assert numbers["a"].std().item() == pytest.approx(1, rel=0.05)
    assert numbers["c"].std(0).tolist() == pytest.approx([2, 2], rel=0.05)
    assert set(numbers["b"].flatten().tolist()) == {0.0, 1.0, 2.0}
    assert 4.9 < numbers["d"].abs().max() <= 5


def test_each_image_has_gates_of_its_own_probability():
    torch.manual_seed(2)
    opened = {
        name: is_open(name, each) for name, each in draw(MANY, torch.tensor([0.0, 1.0]).repeat(10_000), ALL).items()
    }
    for name, each in opened.items():
        assert not each[::2].any()
        assert name in CHOICES or each[1::2].float().mean() > 0.999


@pytest.mark.parametrize("p", [0.0, 1.0, 1.3, -0.5])
def test_two_rotations_at_the_ends_of_p(p):
    torch.manual_seed(3)
    pair = {name: ALL[name] for name in ("rotate", "rotate_again")}
    for numbers in draw(MANY, p, pair).values():
        assert (numbers != 0).float().mean().item() == pytest.approx(1.0 if p >= 1 else 0.0, abs=1e-3)
    assert ROTATE.gates == 1, "alone it has the whole probability"


def test_two_calls_draw_all_numbers():
    calls = []

    class Recorder(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if "rand" in func.__name__:
                calls.append((func.__name__, args[0]))
            return func(*args, **(kwargs or {}))

    with Recorder():
        draw(MANY, 0.5, ALL)
    assert [(name, n) for name, n in calls] == [("rand", len(MANY)), ("randn", len(MANY))]
