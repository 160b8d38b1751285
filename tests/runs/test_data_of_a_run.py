"""Which images a run has, as its artefact and the config say: subset rules, mirrored copies, places of known sets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.yaml_files import read
from leangan.planning.plan import describe
from leangan.runs.config import artefact, configured
from leangan.runs.grid import expand

SHOWN = """
title: Shown
grid: {dataset: [ffhq], resolution: [256], images: [1000, 70000, 140000], preset: [paper256], method: [none]}
protocol: ada
"""


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A project whose only artefact is `shown`; returns a function that expands it with more keys."""
    root = ROOT
    (tmp_path / "config/artefacts").mkdir(parents=True)
    for file in (root / "config").glob("*.yaml"):
        (tmp_path / "config" / file.name).write_text(file.read_text())
    (tmp_path / "workflow").symlink_to(root / "workflow")
    monkeypatch.setattr("leangan.core.project.ROOT", tmp_path)
    monkeypatch.setattr("leangan.planning.plan.ROOT", tmp_path)

    def settings(keys="", **config):
        (tmp_path / "config/artefacts/shown.yaml").write_text(SHOWN + keys)
        for cached in (read, artefact):
            cached.cache_clear()
        return configured(artefacts=["shown"], **config)

    yield settings
    for cached in (read, artefact):
        cached.cache_clear()


def test_the_choice_of_images_is_part_of_the_id_and_of_the_subsets_name(make_spec):
    spec = make_spec("da")
    others = [replace(spec, subset_rule="first"), replace(spec, validation_images=10000)]
    assert len({s.digest for s in [spec, *others]}) == 3
    assert [s.subset_size for s in [spec, *others]] == ["24", "24-first", "24-v10000"]


def test_an_artefact_says_how_its_images_are_chosen(shown):
    usual = expand("shown", shown())[0]
    assert (usual.subset_rule, usual.subset_seed, usual.validation_images) == ("permutation", 0, 500)
    own = expand("shown", shown("subset_rule: first\nsubset_seed: 123\nvalidation_images: 10000\n"))[0]
    assert (own.subset_rule, own.subset_seed, own.validation_images) == ("first", 123, 10000)
    with pytest.raises(ConfigError, match="subset_rule.*'random'.*balanced, first, permutation"):
        expand("shown", shown("subset_rule: random\n"))


def test_twice_a_known_set_is_trained_with_mirrored_copies(shown):
    mirror = {spec.images: spec.hyper["mirror"] for spec in expand("shown", shown())}
    assert mirror == {1000: False, 70000: False, 140000: True}


def test_a_place_alone_moves_a_known_set_and_leaves_the_grid(shown):
    moved = shown(datasets={"ffhq": {"path": "/data/ffhq"}, "imagenet-val": {"path": "/data/val"}})
    assert {spec.dataset for spec in expand("shown", moved)} == {"ffhq"}
    other = shown(datasets={"metfaces": {"resolution": 512}, "ffhq": {"path": "/data/ffhq"}}, images=[100])
    specs = expand("shown", other)
    assert {(spec.dataset, spec.resolution) for spec in specs} == {("metfaces", 512)}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"mine": {"path": "/x"}}, "lacks resolution under datasets.mine, which is no set of leangan/data/sources.csv"),
        ({"mine": {"resolution": 64}}, "lacks path under datasets.mine"),
        ({"ffqh": {"path": "/x"}}, "lacks resolution under datasets.ffqh"),
        ({"mine": {"path": "/x", "resolution": 64, "resize": "cubic"}}, "datasets.mine.resize.*'cubic'"),
        ({"mine": {"path": "/x", "resolution": 64, "crop": "yes"}}, "datasets.mine.crop = 'yes'"),
    ],
)
def test_an_own_set_needs_place_and_resolution(entry, words):
    with pytest.raises(ConfigError, match=words):
        configured(datasets=entry)


def test_the_plan_says_which_sets_are_missing_and_what_to_fetch(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = [line for line in describe(shown()) if line.startswith("missing")]
    assert len(missing) == 1 and "ffhq: nothing at" in missing[0] and "NVlabs/ffhq-dataset" in missing[0]
    (tmp_path / "here").mkdir()
    assert not [line for line in describe(shown(datasets={"ffhq": {"path": "here"}})) if line.startswith("missing")]
    (tmp_path / "resources/data").mkdir(parents=True)
    (tmp_path / "resources/data/ffhq-256.npy").touch()
    assert not [line for line in describe(shown()) if line.startswith("missing")]


def test_the_plan_asks_for_the_test_split_where_the_protocol_compares_with_it(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = shown(datasets={"imagenet": {"path": str(tmp_path), "resolution": 128}}, images=[1000])
    path = tmp_path / "config/artefacts/shown.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "protocol": "diffaugment-cifar"}))
    artefact.cache_clear(), read.cache_clear()
    assert next(line for line in describe(settings) if line.startswith("missing")).startswith("missing: imagenet-val:")
    other = {"metfaces": {"path": str(tmp_path), "resolution": 128}}
    settings = configured(artefacts=["shown"], datasets=other, images=[1000])
    assert any("'metfaces' has no test split" in line for line in describe(settings))
