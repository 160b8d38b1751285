"""What every metric of leangan/metrics/formulas/ must hold; a new file is tested here without a line of test."""

from __future__ import annotations

import inspect
import math
from collections import Counter

import pytest
import torch

from leangan.metrics import base
from leangan.metrics.base import Family, Features, Value
from leangan.metrics.extractor_facts import find_extractor
from leangan.metrics.families import goes_with, known_families, metric_name, metric_of
from leangan.metrics.values import Missing, against_reals, measure
from leangan.plugins.registry import FailedImport, load, names

WIDTH, CLASSES, COUNT = 16, 7, 60


@pytest.fixture(params=names("metric"))
def name(request) -> str:
    return request.param


@pytest.fixture
def metric_class(name) -> type[base.Metric]:
    cls = load("metric", name)
    assert not isinstance(cls, FailedImport), cls.traceback or cls.reason
    return cls


@pytest.fixture
def extractor(metric_class) -> str:
    """An extractor that the metric is for."""
    return next(iter(metric_class.families[0].extractors), "efficientnet_lite0")


@pytest.fixture
def families(metric_class, extractor) -> list[Family]:
    """The families that the metric has under this extractor."""
    return [family for family in metric_class.families if goes_with(family.name, extractor)]


@pytest.fixture
def features(metric_class, extractor):
    """features(count, seed, shift) -> random Features of the width that the metric's extractor has, 16 at most.

    The run was trained on the first half.
    """
    width = min(WIDTH, find_extractor(extractor).floats)

    def make(count: int = COUNT, seed: int = 0, shift: float = 0.0) -> Features:
        generator = torch.Generator().manual_seed(seed)
        pooled = torch.randn(count, width, generator=generator) / 4 + shift
        logits = torch.randn(count, CLASSES, generator=generator)
        return Features(pooled, logits, torch.arange((count + 1) // 2), extractor)

    return make


def test_it_says_what_it_is(metric_class):
    assert issubclass(metric_class, base.Metric)
    assert inspect.getmodule(metric_class).__doc__
    assert metric_class.families and all(family.title for family in metric_class.families)


def test_what_is_read_is_what_runs(name, metric_class):
    """The families are read from the text of the file, where tables are made."""
    assert tuple(known_families()[family.name] for family in metric_class.families) == metric_class.families
    assert {metric_of(family.name) for family in metric_class.families} == {name}


def test_its_extractors_exist_and_each_number_has_a_name(metric_class):
    for family in metric_class.families:
        assert {*family.extractors} <= {*names("extractor")}
        meant = [extractor for extractor in names("extractor") if goes_with(family.name, extractor)]
        assert meant
        assert all(metric_name(family.name, 1000, "full", extractor).startswith(family.name) for extractor in meant)


@pytest.mark.parametrize("shift", [0.0, 0.5, 40.0])
def test_values_are_finite_numbers_within_the_bounds(metric_class, families, features, shift):
    values = metric_class(features())(features(seed=1, shift=shift))
    assert values.keys() == {family.name for family in families}
    for family in families:
        number, spread, over = values[family.name]
        low, high = family.limits
        assert type(number) is float and math.isfinite(number) and low <= number <= high, family.name
        assert (spread is None) == (over is None)
        assert spread is None or (type(spread) is float and 0 <= spread < math.inf)


def test_the_minimum_defines_a_number(metric_class, families, features):
    few = metric_class.minimum
    outcomes = measure(against_reals(metric_class, features(few)), features(few, seed=1))
    numbers = [(family, value) for family in families if isinstance(value := outcomes[family.name], Value)]
    assert numbers
    for family, value in numbers:
        low, high = family.limits
        assert low - 1e-9 <= value.value <= high and math.isfinite(value.value), family.name


def test_fewer_images_than_the_minimum_give_no_value(metric_class, features):
    if metric_class.minimum == 1:
        pytest.skip("defined for one image")
    few = features(metric_class.minimum - 1)
    found_by_kind = {"generated": measure(metric_class(features()), few)}
    if any(family.against != "nothing" for family in metric_class.families):
        found_by_kind["real"] = against_reals(metric_class, few)
    for kind, found in found_by_kind.items():
        assert isinstance(found, Missing) and found.status == "skip"
        assert f"{kind} images: {len(few)}, must be {metric_class.minimum} or more" in found.reason


def test_generators_that_collapsed_have_numbers_within_the_bounds_or_reasons(metric_class, families, features):
    """All fakes are the same, all reals are, or both; no case ends the measurement."""
    for real, fake in ((features(), one_image(features)), (one_image(features), features()), 2 * [one_image(features)]):
        metric = against_reals(metric_class, real)
        outcomes = metric if isinstance(metric, Missing) else measure(metric, fake)
        for family in families:
            outcome = outcomes if isinstance(outcomes, Missing) else outcomes[family.name]
            low, high = family.limits
            if isinstance(outcome, Missing):
                assert outcome.status == "skip" and outcome.reason
            else:
                assert low - 1e-4 <= outcome.value <= high, family.name


def one_image(features) -> Features:
    """One image many times."""
    pooled, logits, trained, extractor = vars(features()).values()
    return Features(pooled[:1].expand_as(pooled), logits[:1].expand_as(logits), trained, extractor)


def test_the_same_features_give_the_same_numbers_and_stay_as_they_are(metric_class, features):
    real, fake = features(), features(seed=1)
    metric = metric_class(real)
    assert metric(fake) == metric(fake) == metric_class(features())(features(seed=1))
    for left, seed in ((real, 0), (fake, 1)):
        assert torch.equal(left.pooled, features(seed=seed).pooled)
        assert torch.equal(left.logits, features(seed=seed).logits)


def test_the_direction_is_that_of_quality(metric_class, families, features):
    """The reference itself is better than what lies far away, unless it is the training images that fakes repeat."""
    real = features()
    copies, far = (metric_class(real)(fake) for fake in (features(), features(seed=1, shift=40.0)))
    for family in families:
        if family.against == "nothing":
            continue
        sign = (1 if family.higher_is_better else -1) * (-1 if family.signs_of_copying else 1)
        assert sign * copies[family.name].value > sign * far[family.name].value, family.name


def test_no_two_files_share_a_family_or_a_place():
    stated = [family for name in names("metric") for family in load("metric", name).families]
    for what in ("name", "place", "title"):
        counted = Counter(getattr(family, what) for family in stated)
        del counted[Family.place]  # the end of the table, which several may share
        assert max(counted.values()) == 1, counted.most_common(1)
    assert [*known_families()] == [each.name for each in sorted(stated, key=lambda each: (each.place, each.name))]
