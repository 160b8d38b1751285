"""What every extractor of leangan/metrics/extractors/ must hold; a new file is tested here without a line of test."""

from __future__ import annotations

import hashlib
import inspect
import json
import re

import pytest
import torch
from torch import Tensor

from leangan.metrics import base
from leangan.metrics.base import Features
from leangan.metrics.extractor_facts import find_extractor, is_published, library, title_of
from leangan.metrics.loading import LoadedExtractor, load_extractor
from leangan.metrics.weights import WeightsError
from leangan.plugins.registry import FailedImport, load, names
from tests.helpers.inception_files import write_clean, write_fidelity

FILES = {"inception_v3": write_fidelity, "clean_inception": write_clean}
"""Those whose weights may have to be downloaded get random ones. Tests of others like these are skipped."""


@pytest.fixture(scope="module", params=names("extractor"))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def extractor_class(name) -> type[base.Extractor]:
    cls = load("extractor", name)
    assert not isinstance(cls, FailedImport), cls.traceback or cls.reason
    return cls


@pytest.fixture(scope="module")
def extractor(name, tmp_path_factory) -> LoadedExtractor:
    if name not in FILES:
        try:
            return load_extractor(name)
        except WeightsError as error:
            if error.__cause__ is None:  # a wrong file; others could not be downloaded
                raise
            pytest.skip(str(error))
    path = FILES[name](tmp_path_factory.mktemp("weights"))
    return load_extractor(name, "cpu", path, hashlib.sha256(path.read_bytes()).hexdigest())


def images(count: int, px: int) -> Tensor:
    generator = torch.Generator().manual_seed(px)
    return torch.randint(0, 256, (count, 3, px, px), dtype=torch.uint8, generator=generator)


def test_it_says_what_it_is(extractor_class):
    assert issubclass(extractor_class, base.Extractor)
    assert inspect.getmodule(extractor_class).__doc__
    assert (extractor_class.input_px is None) == (extractor_class.resize is None)


def test_what_is_read_is_what_runs(name, extractor_class):
    facts = find_extractor(name)
    for attribute, value in vars(facts).items():
        assert getattr(extractor_class, attribute) == value, attribute
    assert (title_of(name), is_published(name)) == (extractor_class.title, extractor_class.published)


def test_titles_differ():
    assert len({title_of(each) for each in names("extractor")}) == len(names("extractor"))


def test_its_library_is_installed(name, extractor_class):
    package = extractor_class.package
    wanted = rf"{re.escape(package)} \d+\..*" if package else f"leangan.metrics.extractors.{name}"
    assert re.fullmatch(wanted, library(name))


@pytest.mark.parametrize("px", [16, 40])
def test_features_are_finite_and_as_many_as_it_says(extractor, px):
    given = images(3, px)
    before = given.clone()
    found = extractor(given)
    assert isinstance(found, Features) and len(found) == 3
    parts = [found.pooled] if found.logits is None else [found.pooled, found.logits]
    assert sum(part.shape[1] for part in parts) == extractor.of.floats
    for part in parts:
        assert part.dtype == torch.float32 and part.ndim == 2 and part.isfinite().all() and not part.requires_grad
    assert torch.equal(given, before)
    assert found.pooled.std(0).max() > 0, "all images are alike to it"


def test_features_of_an_image_do_not_depend_on_the_others(extractor):
    given = images(3, 32)
    together, alone = extractor(given).pooled, extractor(given[1:2]).pooled
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_it_is_loaded_ready_for_use(extractor):
    assert not extractor.network.training
    assert not any(each.requires_grad for each in extractor.network.parameters())


def test_what_its_features_say_of_themselves(name, extractor):
    identity = extractor.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["extractor"] == name and identity["tf32"] is False
    assert re.fullmatch("[0-9a-f]{64}", identity["extractor_sha256"])
