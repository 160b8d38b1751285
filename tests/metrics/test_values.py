"""A metric without a value costs no other number: closed forms on tiny sets, and metrics that fail in every way."""

from __future__ import annotations

import math

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.metrics.base import Features, NoValue, Value
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.formulas.fid_inf import Metric as FrechetInfinity
from leangan.metrics.formulas.inception_score import Metric as InceptionScore
from leangan.metrics.formulas.kid import Metric as KernelDistance
from leangan.metrics.formulas.memorisation import Metric as Memorisation
from leangan.metrics.formulas.precision_recall import Metric as PrecisionRecall
from leangan.metrics.nearest import SAME, originals
from leangan.metrics.store import save_features
from leangan.metrics.values import Missing, against_reals, attempt, measure, outcome_of, over_seeds, snapshot_values

CPU = torch.device("cpu")


def features(*values: float | tuple[float, ...], trained: list[int] | None = None) -> Features:
    """Features of images given by one number each, or several."""
    pooled = torch.tensor(values, dtype=torch.float32).reshape(len(values), -1)
    return Features(pooled, torch.zeros(len(values), 3), None if trained is None else torch.tensor(trained))


def outcomes(metric, real: Features, fake: Features):
    """What the rows of one snapshot would be made of."""
    prepared = against_reals(metric, real)
    return prepared if isinstance(prepared, Missing) else measure(prepared, fake)


def test_one_image_has_no_covariance_and_two_have():
    assert outcomes(FrechetDistance, features(1), features(0, 2)) == Missing(
        "skip", "real images: 1, must be 2 or more"
    )
    one = outcomes(FrechetDistance, features(0, 2), features(1))
    assert one.status == "skip" and one.reason.startswith("generated images: 1, must be 2 or more (fakes of ")
    # Means 1 and 4, variances 2 and 8: 9 + 2 + 8 - 2 sqrt(16).
    assert outcomes(FrechetDistance, features(0, 2), features(2, 6))["fd"].value == pytest.approx(11)


def test_fewer_images_than_features_have_a_frechet_distance():
    """Covariances of rank 1 along two axes: means (1, 0, 0) and (0, 1, 0), traces 2 and 2, product 0."""
    real, fake = features((0, 0, 0), (2, 0, 0)), features((0, 0, 0), (0, 2, 0))
    assert outcomes(FrechetDistance, real, fake)["fd"].value == pytest.approx(2 + 2 + 2)


def test_a_generator_of_one_image_has_a_frechet_distance():
    """No variance of its own: distance of the means and the variance of the reals, whatever their number."""
    real, fake = features(*[0, 2] * 10), features(*[4] * 30)
    assert outcomes(FrechetDistance, real, fake)["fd"].value == pytest.approx(9 + 20 / 19)
    assert outcomes(FrechetInfinity, real, fake)["fd_inf"].value == pytest.approx(9 + 20 / 19)


def test_kernel_distance_of_two_images_each():
    """k(x, y) = (xy + 1)^3. Reals 0 and 1, fakes 1 and 2: k within 1 and 27, across 1, 1, 8 and 27."""
    value = outcomes(KernelDistance, features(0, 1), features(1, 2))["kd"]
    assert value.value == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert value.spread == pytest.approx(0, abs=1e-9) and value.over == "subsets"


def test_third_neighbours_need_four_images():
    assert outcomes(PrecisionRecall, features(0, 1, 2), features(0, 1, 2, 3)).reason.startswith(
        "real images: 3, must be 4"
    )
    assert outcomes(PrecisionRecall, features(0, 1, 2, 3), features(0, 1, 2)).status == "skip"
    found = outcomes(PrecisionRecall, features(0, 1, 2, 3), features(0.5, 1.5, 2.5, 90))
    assert (found["precision"].value, found["recall"].value) == (0.75, 1)


def test_ten_splits_need_ten_images_and_the_score_without_them_two():
    """Against no reals at all; three classes, two certain: each image is sure of its own, which scores 2."""
    logits = 50 * torch.eye(3)[:2].repeat(2, 1)
    found = outcomes(InceptionScore, features(1), Features(logits, logits))
    assert found["is"] == Missing("skip", "4 fakes; 10 splits need 10")
    assert found["is_unsplit"].value == pytest.approx(2)
    assert outcomes(InceptionScore, features(1), Features(logits[:1], logits[:1])).status == "skip"


def test_copies_are_one_image():
    """Each of three images twice, 0, 1 and 3: distances to the nearest other 1, 1 and 2, as without the copies."""
    once = features(0, 1, 3, trained=[0, 1, 2])
    twice = features(0, 1, 3, 3, 1, 0, trained=[5, 0, 1, 2, 3, 4])
    for real in (once, twice):
        prepared = against_reals(Memorisation, real)
        assert prepared.held_out.tolist() == [1, 1, 2]
    found = measure(prepared, features(4.5, 4.5))
    assert (found["copying"].value, found["nn_ratio"].value) == (pytest.approx(1 / 3), 1.5)


def test_a_copy_of_a_training_image_is_not_held_out():
    """Trained on the first two of 0, 10, 0, 13 and again 13: one image is new, at 3 from the nearest."""
    prepared = against_reals(Memorisation, features(0, 10, 0, 13, 13, trained=[0, 1]))
    assert prepared.held_out.tolist() == [3] and prepared.train[:, 0].tolist() == [0, 10]


@pytest.mark.parametrize("mean", ["positive", "zero"])
def test_extractors_that_round_otherwise_make_no_two_images_of_a_copy(mean):
    """In another batch the features of an image may differ in their last digits; many images have nearly equal means.

    Each of 500 images comes twice more, at random places among 20,000.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(19_000, 64, generator=generator)
    x = x.relu() if mean == "positive" else x - x.mean(1, keepdim=True)
    number = torch.cat([torch.arange(19_000), *2 * [torch.randperm(19_000, generator=generator)[:500]]])
    number = number[torch.randperm(20_000, generator=generator)]
    rounded = 1 + 1e-6 * torch.randn(20_000, 64, generator=generator)
    firsts: dict[int, int] = {}
    expected = [firsts.setdefault(of, place) for place, of in enumerate(number.tolist())]
    assert originals(x[number] * rounded).tolist() == expected


def test_copies_are_those_within_a_thousandth_of_their_length():
    """Against all distances of a small set, with pairs on both sides of the bound and some of no length."""
    generator = torch.Generator().manual_seed(0)
    x, other = torch.randn(2, 60, 5, generator=generator)
    x[:3] = 0
    shift = other / other.norm(dim=1, keepdim=True) * x.norm(dim=1, keepdim=True)
    x = torch.cat([x, x + 0.9 * SAME * shift, x - 1.1 * SAME * shift])
    apart = (x[:, None].double() - x.double()).norm(dim=2)
    same = apart <= SAME * x.double().norm(dim=1)
    for _ in range(3):
        same = same.float() @ same.float() > 0  # copies of copies
    assert torch.equal(originals(x), same.int().argmax(1))
    assert originals(x).unique().numel() == 57 + 1 + 57


def test_one_image_many_times_is_one():
    assert originals(torch.full((20_000, 8), 0.1)).sum() == 0


def test_copies_of_one_image_leave_nothing_to_compare_with():
    assert outcomes(Memorisation, features(2, 2, 2, trained=[0, 1, 2]), features(1, 2)) == Missing(
        "skip", "the 3 real images are copies of one, which leaves none to hold out"
    )
    assert outcomes(Memorisation, features(2, trained=[0]), features(1, 2)).reason.startswith(
        "real images: 1, must be 2"
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value(number):
    assert outcome_of(Value(number)) == Missing("skip", f"the formula gives {number}, which is no number")
    assert outcome_of(Value(1.5, number, "splits")).reason == f"the formula gives 1.5 ± {number}, which is no number"
    assert outcome_of(Value(1.5, 0.0, "splits")) == Value(1.5, 0.0, "splits")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance, Memorisation, PrecisionRecall])
def test_features_that_are_no_numbers_give_no_value(metric, number):
    """Of one image among the fakes or the reals. Metrics that count neighbours would have a number."""
    whole, broken = features(0, 1, 2, 3, 4, trained=[0, 1]), features(0, number, 1, 2, 3, trained=[0, 2])
    wanted = Missing("error", "the extractor's features are not finite")
    assert outcomes(metric, whole, broken) == outcomes(metric, broken, whole) == wanted


def test_logits_count_where_they_are_read():
    whole = features(0, 1, 2, 3, 4)
    broken = Features(whole.pooled, torch.full((5, 3), math.nan))
    assert outcomes(InceptionScore, broken, broken) == Missing("error", "the extractor's features are not finite")
    assert isinstance(outcomes(FrechetDistance, broken, broken)["fd"], Value)
    assert isinstance(outcomes(InceptionScore, broken, whole)["is_unsplit"], Value)


def raises(error: Exception):
    def work():
        raise error

    return work


def test_a_metric_that_raises_says_why(capsys):
    assert attempt(raises(NoValue("all reals are grey"))) == Missing("skip", "all reals are grey")
    failed = attempt(raises(ZeroDivisionError("division by zero")))
    assert failed.status == "error"
    assert failed.reason.startswith("ZeroDivisionError: division by zero (test_values.py, line ")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        OSError(28, "No space left on device"),
        RuntimeError("CUDA error: unspecified launch failure"),
        ConfigError("give --subset"),
        KeyboardInterrupt(),
    ],
)
def test_faults_of_the_machine_and_of_the_configuration_end_the_job(error):
    with pytest.raises(type(error)):
        attempt(raises(error))


def test_one_seed_without_a_value_is_a_mean_without_one():
    missing = Missing("skip", "why")
    assert over_seeds([Value(1.0), missing, Value(3.0)]) == missing
    assert over_seeds([Value(1.0), Value(3.0)]) == Value(2.0, math.sqrt(2), "evaluation seeds")


def test_a_snapshot_has_an_outcome_for_each_family(tmp_path):
    """The generator's broken images are one reason for all; a metric that lacks the reals has its own."""
    save_features(tmp_path / "good.safetensors", features(2, 6), {"reason": None})
    save_features(tmp_path / "broken.safetensors", None, {"reason": "not finite at 1 kimg"})
    real = features(0, 2)
    metrics = {name: against_reals(cls, real) for name, cls in {"fid": FrechetDistance, "pr": PrecisionRecall}.items()}
    families = {"fd": "fid", "precision": "pr"}
    found = snapshot_values(metrics, families, [tmp_path / "good.safetensors"], CPU)
    assert found["fd"].value == pytest.approx(11) and found["precision"].status == "skip"
    diverged = Missing("diverged", "not finite at 1 kimg")
    files = [tmp_path / "good.safetensors", tmp_path / "broken.safetensors"]
    assert snapshot_values(metrics, families, files, CPU) == {"fd": diverged, "precision": diverged}
