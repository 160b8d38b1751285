"""The sections of config/: what a file may hold, in which forms, and what a wrong key or value is answered with."""

from __future__ import annotations

import json

import pytest

from leangan.core.errors import ConfigError
from leangan.core.schemas import Record, parse
from leangan.core.yaml_files import read
from leangan.metrics.protocols import ProtocolEntry, read_protocol
from leangan.planning.costs_file import Costs, read_costs
from leangan.results.submitted import Submission
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.config import artefact, artefact_names, configured, load_config, read_scale
from leangan.runs.grid import expand
from leangan.runs.sections import Config, Scale

GRID = {"dataset": ["elpv"], "resolution": [32], "images": [32], "preset": ["tiny"], "method": ["none"]}
ARTEFACT = {"title": "Any", "protocol": "proxy", "grid": GRID}
ROOTS = (Config, Scale, ArtefactConfig, ProtocolEntry, Costs, Submission)


def records(kind: type[Record] = Record) -> list[type[Record]]:
    """All records of the project that are loaded, those inside of others too."""
    own = [each for each in kind.__subclasses__() if each.__module__.startswith("leangan.")]
    return [each for base in own for each in (base, *records(base))]


def test_every_key_has_a_meaning():
    assert set(ROOTS) <= set(records()) and len(records()) > len(ROOTS)
    lacking = [f"{kind.__name__}.{key}" for kind in records() for key, field in kind.model_fields.items()
               if not field.description]  # fmt: skip
    assert lacking == [] and all(kind.__doc__ for kind in records())


def test_the_shipped_files_are_as_described():
    assert [read_scale(name).tick_kimg for name in read("config/scales.yaml")]
    assert [read_protocol(name).source for name in read("config/protocols.yaml")]
    assert [artefact(name).title for name in artefact_names()]
    assert configured().artefacts == ["demo"] and read_costs().measuring.fakes == 50000


def content(**changes) -> ArtefactConfig:
    return parse(ArtefactConfig, {**ARTEFACT, **changes}, "any.yaml")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"titel": "A"}, "unknown key 'titel'. Did you mean 'title'"),
        ({"title": None}, "title = None must be of type string"),
        ({"grid": 7}, "grid = 7 must be of type object or array"),
        ({"grid": []}, "grid = [] is not allowed"),
        ({"grid": {**GRID, "resolution": [48]}}, "grid.resolution.0 = 48 must be a power of two from 8 to 1024"),
        ({"grid": {**GRID, "images": 32}}, "grid.images = 32 must be a list"),
        ({"grid": {**GRID, "images": [1.5]}}, "grid.images.0 = 1.5 must be of type integer"),
        ({"conditional": "yes"}, "unknown value for conditional: 'yes'. Known: auto, false, true"),
        ({"subset_rule": "frist"}, "unknown value for subset_rule: 'frist'. Did you mean 'first'"),
        ({"subset_seed": 2**32}, "subset_seed = 4294967296 is not allowed"),
        ({"method_args": {"ada": 0.6}}, "method_args.ada = 0.6 must be of type object"),
        ({"scales": {"demo": {"kimg": 0}}}, "scales.demo.kimg = 0 is not allowed"),
        ({"scales": {"demo": {"seeds": [1]}}}, "unknown key 'scales.demo.seeds'"),
        ({"layout": {"metrcs": ["fd"]}}, "unknown key 'layout.metrcs'. Did you mean 'layout.metrics'"),
        ({"layout": {"metrics": "fd"}}, "layout.metrics = 'fd' must be a list"),
        ({"layout": {"published": {"where": {}}}}, "lacks methods under layout.published"),
        ({"layout": {"published": {"methods": {}, "wher": {}}}}, "unknown key 'layout.published.wher'"),
        ({"layout": {"sweep": {"x": "da.p", "lines": {}, "panels": "line"}}}, "value for layout.sweep.panels: 'line'"),
        ({"expectation": {"better": ["a"], "worse": ["b"]}}, "lacks source under expectation"),
        ({"figures": "curves"}, "figures = 'curves' must be a list"),
        ({"figures": ["curves", "curves"]}, "figures = ['curves', 'curves'] is not allowed"),
        ({"figures": [{"samples": ["none"], "curves": ["none"]}]}, "figures.0 = "),
    ],
)
def test_a_wrong_key_or_value_of_an_artefact_is_named(change, words):
    with pytest.raises(ConfigError) as error:
        content(**change)
    assert words in str(error.value) and "any.yaml" in str(error.value)


@pytest.mark.parametrize(
    "kind, file, where, words",
    [
        (Costs, {"training": [], "measuring": {}}, "costs.yaml", "lacks device, source, extractors"),
        (Costs, {"training": {}, "measuring": {}}, "costs.yaml", "training = {} must be a list"),
        (ProtocolEntry, {**read("config/protocols.yaml")["ada"], "metrics": []}, "it", "metrics = [] is not allowed"),
        (Scale, {**read("config/scales.yaml")["demo"], "papers": "some"}, "it", "unknown value for papers: 'some'"),
        (Scale, {**read("config/scales.yaml")["demo"], "seeds": [0, 0]}, "it", "seeds = [0, 0] is not allowed"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_of_another_section_is_named(kind, file, where, words):
    with pytest.raises(ConfigError) as error:
        parse(kind, file, where)
    assert words in str(error.value) and where in str(error.value)


def test_one_grid_is_a_list_of_one():
    assert content().grid == content(grid=[GRID]).grid and len(content(grid=[GRID, GRID]).grid) == 2


def test_a_figure_alone_draws_every_method():
    figures = content(figures=["curves", {"samples": ["none", "ada"]}]).figures
    assert list(figures.items()) == [("curves", None), ("samples", ["none", "ada"])]


def test_a_length_of_null_is_the_presets_and_one_left_out_the_scales(monkeypatch):
    """tiny trains for 200 kimg, the scale demo for 24 with 6 between snapshots."""
    for part, lengths in (({"kimg": None}, (200, 6)), ({"snapshot_kimg": 3}, (24, 3)), ({}, (24, 6))):
        stated = content(scales={"demo": part})
        for module in ("grid", "config"):
            monkeypatch.setattr(f"leangan.runs.{module}.artefact", lambda name, stated=stated: stated)
        (run,) = expand("any", configured(scale="demo", artefacts=["any"]))
        assert (run.total_kimg, run.snapshot_kimg) == lengths


def test_values_stay_as_they_were_given():
    """They go on as JSON: 24 must not become 24.0, nor a key appear that was not given."""
    own = {"kimg": 24, "snapshot_kimg": 0.5, "datasets": {"a": {"path": "x", "resolution": 32}}}
    expected = {**read("config/config.yaml"), **own}
    assert json.dumps(load_config(json.dumps(own)).given()) == json.dumps(expected)


def test_whole_numbers_may_be_written_with_a_point():
    config = configured(images=[24.0], datasets={"a": {"path": "x", "resolution": 32.0}})
    assert json.dumps(config.given()["images"]) == "[24]" and config.datasets["a"].resolution == 32


def test_a_number_that_no_machine_holds_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"^threads = 1e\+30 is not allowed: .* Change it in config/config.yaml"):
        configured(threads=1e30)


def test_nothing_of_a_section_can_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        configured().scale = "paper"
