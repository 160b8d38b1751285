"""The memorisation check against closed forms, SciPy's rank test and sets whose copies are known."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from leangan.core.errors import ConfigError
from leangan.metrics.base import Features
from leangan.metrics.formulas import memorisation
from leangan.metrics.formulas.memorisation import Metric as Memorisation
from leangan.metrics.nearest import nearest


def points(count: int, seed: int, features: int = 6) -> torch.Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def values(real: torch.Tensor, trained: int, fake: torch.Tensor) -> tuple[float, float]:
    """(copying, nn_ratio) where the first `trained` reals are the training images."""
    result = Memorisation(Features(real, trained=torch.arange(trained)))(Features(fake))
    return result["copying"].value, result["nn_ratio"].value


def test_copies_are_told_from_new_images():
    real = points(1200, 0)
    copying, ratio = values(real, 200, real[:200].repeat(3, 1))
    assert copying == 1 and ratio < 1e-2
    copying, ratio = values(real, 200, points(1000, 1))
    # Both samples are of one distribution: the Mann-Whitney statistic lies at 1/2 with this standard error.
    assert abs(copying - 0.5) < 3 * (2001 / (12 * 1000 * 1000)) ** 0.5
    assert ratio == pytest.approx(1, abs=0.1)
    copying, ratio = values(real, 200, points(1000, 1) + 20)
    assert copying == 0 and ratio > 5


def test_half_of_the_fakes_copied():
    real = points(1200, 0)
    half, _ = values(real, 200, torch.cat([real[:200], points(200, 1)]))
    assert half == pytest.approx(0.75, abs=0.04)


def test_copying_is_scipys_rank_statistic():
    real, fake = points(300, 0), points(80, 1) * 0.8
    distance = torch.cdist(fake, real[:50]).min(1).values
    held_out = torch.cdist(real[50:], real[:50]).min(1).values
    u = scipy.stats.mannwhitneyu(held_out, distance).statistic  # pairs in which the held-out image lies farther
    copying, ratio = values(real, 50, fake)
    assert copying == pytest.approx(u / (80 * 250), abs=1e-9)
    assert ratio == pytest.approx(float(distance.median() / held_out.median()), rel=1e-6)


def test_ties_count_half():
    real = torch.tensor([[0.0], [2.0], [-2.0]])  # trained on 0, held out at distance 2
    assert values(real, 1, torch.tensor([[2.0], [2.0]]))[0] == 0.5
    assert values(real, 1, torch.tensor([[2.0], [1.0]]))[0] == 0.75


def test_a_run_on_all_images_holds_out_each_in_turn():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # distances to the nearest other: 1, 1, 2
    copying, ratio = values(real, 3, torch.tensor([[4.5]]))  # 1.5
    assert copying == pytest.approx(1 / 3)
    assert ratio == 1.5


def test_the_nearest_of_many(monkeypatch):
    monkeypatch.setattr("leangan.metrics.nearest.CHUNK", 7)
    x = points(40, 0)
    distance, index = nearest(x, x)
    assert torch.equal(index, torch.arange(40)) and distance.max() < 5e-3
    distance, index = nearest(x, x, torch.arange(40))
    others = torch.cdist(x, x) + torch.diag(torch.full((40,), torch.inf))
    assert torch.equal(index, others.argmin(1)) and torch.allclose(distance, others.min(1).values, atol=1e-4)


def test_what_is_left_out_is_chosen_at_random(monkeypatch):
    monkeypatch.setattr(memorisation, "MOST", 10)
    real = torch.arange(100.0)[:, None]
    held_out = Memorisation(Features(real, trained=torch.tensor([0]))).held_out
    assert len(held_out) == 10 and held_out.max() > 20


def test_training_images_must_be_known():
    with pytest.raises(ConfigError, match="reference full or train.*config/protocols.yaml"):
        Memorisation(Features(points(10, 0)))
