"""What every metric of leangan/metrics/formulas/ must hold; a new file is tested here without a line of test."""

from __future__ import annotations

import inspect
import math
from collections import Counter

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.metrics import base, compute
from leangan.metrics.base import Family, Features
from leangan.metrics.extractor_facts import find_extractor
from leangan.metrics.families import goes_with, known_families, metric_name, metric_of
from leangan.metrics.store import save_features
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
def features(metric_class):
    """features(count, seed, shift) -> random Features of the width that the metric's extractor has, 16 at most.

    The run was trained on the first half.
    """
    extractors = metric_class.families[0].extractors
    width = min(WIDTH, find_extractor(extractors[0]).floats) if extractors else WIDTH

    def make(count: int = COUNT, seed: int = 0, shift: float = 0.0) -> Features:
        generator = torch.Generator().manual_seed(seed)
        pooled = torch.randn(count, width, generator=generator) / 4 + shift
        return Features(pooled, torch.randn(count, CLASSES, generator=generator), torch.arange((count + 1) // 2))

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
def test_values_are_finite_numbers_within_the_bounds(metric_class, features, shift):
    values = metric_class(features())(features(seed=1, shift=shift))
    assert values.keys() == {family.name for family in metric_class.families}
    for family in metric_class.families:
        number, spread, over = values[family.name]
        low, high = family.limits
        assert type(number) is float and math.isfinite(number) and low <= number <= high, family.name
        assert (spread is None) == (over is None)
        assert spread is None or (type(spread) is float and 0 <= spread < math.inf)


def test_the_minimum_defines_the_number(metric_class, features):
    few = metric_class.minimum
    values = metric_class(features(few))(features(few, seed=1))
    for family in metric_class.families:
        low, high = family.limits
        assert low <= values[family.name].value <= high and math.isfinite(values[family.name].value), family.name


def test_fewer_fakes_than_the_minimum_are_refused(name, metric_class, features, tmp_path):
    if metric_class.minimum == 1:
        pytest.skip("defined for one image")
    file = tmp_path / "fake.safetensors"
    few = features(metric_class.minimum - 1)
    save_features(file, Features(few.pooled, few.logits), {})
    with pytest.raises(ConfigError, match=f"fakes; metric {name} needs {metric_class.minimum} "):
        compute.snapshot_values({name: metric_class(features())}, [file], torch.device("cpu"))


def test_the_same_features_give_the_same_numbers_and_stay_as_they_are(metric_class, features):
    real, fake = features(), features(seed=1)
    metric = metric_class(real)
    assert metric(fake) == metric(fake) == metric_class(features())(features(seed=1))
    for left, seed in ((real, 0), (fake, 1)):
        assert torch.equal(left.pooled, features(seed=seed).pooled)
        assert torch.equal(left.logits, features(seed=seed).logits)


def test_the_direction_is_that_of_quality(metric_class, features):
    """The reference itself is better than what lies far away, unless it is the training images that fakes repeat."""
    real = features()
    copies, far = (metric_class(real)(fake) for fake in (features(), features(seed=1, shift=40.0)))
    for family in metric_class.families:
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
