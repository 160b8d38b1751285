"""Artefacts of several grids, with lengths of their own and with runs that start from others."""

from __future__ import annotations

import json

import pytest

from leangan.core.errors import ConfigError
from leangan.core.schemas import parse
from leangan.core.spec import RunSpec
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.runs import cells, grid
from leangan.runs import config as configuration
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.config import artefact, configured
from leangan.runs.grid import expand
from leangan.runs.methods import method_parts

SHIPPED = "methods-demo"
GRID = {"dataset": ["elpv"], "resolution": [32], "images": [32], "preset": ["tiny"], "method": ["none"]}


def config(**changes):
    return configured(artefacts=["any"], **changes)


@pytest.fixture
def content(monkeypatch):
    """A function that makes its keywords the content of the artefact `any`, once they have been accepted."""

    def put(**keys):
        stated = {"title": "Any", "protocol": "proxy", "grid": GRID, **keys}
        content = parse(ArtefactConfig, stated, "config/artefacts/any.yaml")
        for module in (grid, cells, configuration):
            monkeypatch.setattr(module, "artefact", lambda name: content)

    return put


def test_every_method_of_the_suite_is_in_the_demonstration_and_runs_there():
    """A file of augment/ that is forgotten in config/artefacts/methods-demo.yaml is found here."""
    members = cells.cells(configured(artefacts=[SHIPPED]))[SHIPPED]
    used = {plugin for cell in members for plugin, _ in cell.spec.plugins if not cell.refused}
    assert used == set(registry.names("method"))
    assert not [(cell.spec.run_id, cell.refused) for cell in members if cell.refused]


def test_the_demonstration_is_as_long_as_it_says_and_the_other_scales_keep_theirs():
    length = artefact(SHIPPED).scales["demo"]
    assert {run.total_kimg for run in expand(SHIPPED, configured())} == {length.kimg}
    assert {run.snapshot_kimg for run in expand(SHIPPED, configured())} == {length.snapshot_kimg}
    assert {run.total_kimg for run in expand(SHIPPED, configured(scale="paper"))} == {200}


def test_a_run_that_several_grids_hold_is_one_and_each_grid_has_its_own_preset(content):
    content(grid=[{**GRID, "method": ["none", "ada"]}, {**GRID, "method": ["none", "da"]},
                  {**GRID, "preset": ["tiny-biggan"]}])  # fmt: skip
    runs = [(run.backbone, run.method) for run in expand("any", config())]
    assert runs == [("stylegan2", "none"), ("stylegan2", "ada"), ("stylegan2", "da"), ("biggan", "none")]
    added = [run.method for run in expand("any", config(methods=["cr"]))]
    assert added.count("cr") == 2


@pytest.mark.parametrize(
    "own, total, marks",
    [
        ({}, 24, [6000, 12000, 18000, 24000]),
        ({"kimg": 12}, 12, [6000, 12000]),
        ({"snapshot_kimg": 16}, 24, [16000, 24000]),
        ({"kimg": 1.6, "snapshot_kimg": 0.8}, 1.6, [800, 1600]),
    ],
)
def test_a_length_of_the_configuration_replaces_that_of_the_scale(content, own, total, marks):
    content()
    (run,) = expand("any", config(**own))
    assert (run.total_kimg, run.snapshot_nimgs()) == (total, marks)
    content(scales={"demo": {"kimg": 40, "snapshot_kimg": 20}})
    (stated,) = expand("any", config(**own))
    assert (stated.total_kimg, stated.snapshot_kimg) == (own.get("kimg", 40), own.get("snapshot_kimg", 20))


def test_arguments_go_to_every_method_that_has_the_plugin(content):
    content(grid={**GRID, "method": ["ada", "ada-bcr", "da"]}, method_args={"ada": {"tune_kimg": 6}})
    tuned = {run.method: {name: args.get("tune_kimg") for name, args in run.plugins} for run in expand("any", config())}
    assert tuned == {"ada": {"ada": 6}, "ada-bcr": {"ada": 6, "bcr": None}, "da": {"da": None}}


def test_arguments_of_a_plugin_that_does_not_exist_are_refused(content):
    content(method_args={"adda": {"tune_kimg": 6}})
    with pytest.raises(ConfigError, match="unknown plugin 'adda'. Did you mean 'ada'.* method_args of config"):
        expand("any", config())


def from_many(**source):
    return {"grid": {**GRID, "method": ["none", "freeze-d"]}, "method_args": {"transfer": {"run": source}}}


def test_a_run_that_starts_from_another_holds_its_specification_and_its_identity(content):
    content(**from_many(method="none", images=2000))
    none, later = expand("any", config())
    assert none.parent is None
    assert (later.parent.method, later.parent.images, later.parent.dataset) == ("none", 2000, "elpv")
    assert later.parent.total_kimg == later.total_kimg and later.parent.run_id.startswith("elpv-2000/stylegan2-none")
    assert RunSpec.from_fields(json.loads(later.to_json())).digest == later.digest
    content(**from_many(method="none", images=1000))
    assert expand("any", config())[1].digest != later.digest
    fields = json.loads(later.to_json())
    fields["trained"]["parent"]["labels"][0]["method"] = "another-name"
    assert RunSpec.from_fields(fields).digest == later.digest


def test_the_source_is_trained_once_and_measured_only_where_a_table_shows_it(content):
    content(**from_many(method="none", images=2000))
    assert [(c.spec.method, c.spec.images, c.protocol) for c in cells.cells(config())["any"]] == [
        ("none", 2000, None), ("none", 32, "proxy"), ("freeze-d", 32, "proxy")
    ]  # fmt: skip
    content(**from_many(method="none"))
    assert [(c.spec.method, c.protocol) for c in cells.cells(config())["any"]] == [
        ("none", "proxy"), ("freeze-d", "proxy")
    ]  # fmt: skip


def test_a_run_whose_source_is_refused_is_refused_for_that_reason(content):
    content(**from_many(method="ada-rv", images=2000))
    source, _, later = cells.cells(config())["any"]
    assert source.refused is None and later.refused is None
    content(**from_many(method="shallow_mapping", images=2000))
    source, _, later = cells.cells(config())["any"]
    assert source.refused[0] == "skip" and "2 layers" in source.refused[1]
    assert later.refused == ("skip", f"{source.spec.run_id}, which it starts from: {source.refused[1]}")


def test_a_method_without_the_held_out_images_it_needs_is_refused_when_the_grid_is_read(content):
    """elpv has 2,624 images: with 2,600 of them trained on 24 are left, more than a batch of 8; with 2,620, 4."""
    grid = {**GRID, "images": [32, 2600, 2620], "method": ["none", "ada-rv"]}
    for held_out, refused in ((0, [32, 2600, 2620]), (8, [2620]), (500, [2620]), (7, [32, 2600, 2620])):
        content(grid=grid, validation_images=held_out)
        members = cells.cells(config())["any"]
        assert [cell.spec.images for cell in members if cell.refused] == refused
        assert all(cell.spec.method == "ada-rv" for cell in members if cell.refused)
    status, reason = members[1].refused
    assert status == "skip" and reason == "it needs a batch of 8 held-out images; the run holds out 7"


def test_a_method_that_cannot_be_built_is_refused_with_its_reason(content):
    content(grid={**GRID, "method": ["none", "diffaugment"]}, method_args={"diffaugment": {"policy": "colr"}})
    none, wrong = cells.cells(config())["any"]
    assert none.refused is None
    assert wrong.refused[0] == "error" and "'colr'" in wrong.refused[1] and "'color'" in wrong.refused[1]


def test_a_preset_that_the_backbone_cannot_be_built_with_is_refused_with_the_reason(content, monkeypatch):
    wrong = {**read("config/presets.yaml")["tiny"], "r1_at": "fake"}
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: {**read("config/presets.yaml"), "wrong": wrong})
    content(grid={**GRID, "preset": ["tiny", "wrong"]})
    right, refused = cells.cells(config())["any"]
    assert right.refused is None
    assert refused.refused == (
        "error", "preset key r1_at is 'fake', must be one of ('real', 'augmented'); see config/presets.yaml"
    )  # fmt: skip


@pytest.mark.parametrize("entry", [[{"ada": 0.6}], "ada", [{"ada": {}, "bcr": {}}], {"ada": {"target": 0.6}}, [7]])
def test_an_entry_that_is_not_a_list_of_methods_is_named(monkeypatch, entry):
    monkeypatch.setattr("leangan.runs.methods.read", lambda name: {"mine": entry})
    with pytest.raises(ConfigError, match="config/methods.yaml, entry 'mine': .* is not a part of a method"):
        method_parts("mine")


@pytest.mark.parametrize(
    "source, words",
    [
        ({"method": "freeze-d"}, "'freeze-d' in config/artefacts/any.yaml starts from itself"),
        ({"method": "nne"}, "unknown method 'nne'. Did you mean 'none'"),
        ({"method": "none", "image": 9}, "'image'. Did you mean 'images'.*config/methods.yaml.*any.yaml"),
    ],
)
def test_a_source_that_cannot_be_is_named(content, source, words):
    content(**from_many(**source))
    with pytest.raises(ConfigError, match=words):
        expand("any", config())


@pytest.mark.parametrize(
    "change, words",
    [
        ({"grid": {**GRID, "methods": ["none"]}}, "unknown key 'grid.methods'. Did you mean 'grid.method'"),
        ({"grid": [{**GRID, "titel": "A"}]}, "unknown key 'grid.0.titel'. Did you mean 'grid.0.title'"),
        ({"scales": {"demo": {"kmg": 8}}}, "unknown key 'scales.demo.kmg'. Did you mean 'scales.demo.kimg'"),
        ({"figures": [{"samples": "none"}]}, "figures.0.samples = 'none' must be a list"),
    ],
)
def test_a_wrong_key_of_an_artefact_is_named(content, change, words):
    with pytest.raises(ConfigError, match=words):
        content(**change)


def test_a_length_of_an_unknown_scale_is_named(monkeypatch):
    monkeypatch.setattr(configuration, "artefact_names", lambda: ["any"])
    files = {"config/artefacts/any.yaml": {"title": "Any", "protocol": "proxy", "grid": GRID, "scales": {"dmo": {}}}}
    original = configuration.read
    monkeypatch.setattr(configuration, "read", lambda name: files.get(name) or original(name))
    with pytest.raises(ConfigError, match="unknown scale 'dmo'. Did you mean 'demo'.*scales of config/artefacts/any"):
        configuration.artefact("any")


# ---- Runs that all start from given files ----

FILES = {
    part: {"file": f"networks/{part}.safetensors", "sha256": digit * 64} for part, digit in (("G_ema", "a"), ("D", "b"))
}


def started(run) -> dict:
    """What each part of transfer starts from in this run, by the first digit of the digest."""
    (args,) = [args for name, args in run.plugins if name == "transfer"]
    return {part: source["sha256"][0] for part, source in args.items() if source}


def test_all_runs_start_from_the_files_and_keep_the_titles_of_their_methods(content):
    methods = ["none", "ada", "ada-bcr"]
    content(grid={**GRID, "method": methods})
    before = expand("any", config())
    content(grid={**GRID, "method": methods}, start=FILES)
    runs = expand("any", config())
    assert [[name for name, _ in run.plugins] for run in runs] == [
        ["transfer", "none"], ["transfer", "ada"], ["transfer", "ada", "bcr"]
    ]  # fmt: skip
    assert all(started(run) == {"G": "a", "G_ema": "a", "D": "b"} for run in runs)
    assert [run.labels for run in runs] == [run.labels for run in before]
    assert [run.labels.title for run in runs] == ["Baseline", "ADA", "ADA + bCR"]
    assert all(run.parent is None for run in runs)
    assert not {run.run_id for run in runs} & {run.run_id for run in before}


def test_the_content_of_the_files_makes_the_run_and_their_place_does_not(content):
    ids = []
    for change in ({}, {"file": "elsewhere.safetensors"}, {"sha256": "c" * 64}):
        content(start={**FILES, "D": {**FILES["D"], **change}})
        ids += [run.run_id for run in expand("any", config())]
    assert ids[0] == ids[1] != ids[2]


def test_a_method_that_says_itself_where_it_starts_does_so(content):
    """Its parent does not start from the files either, since the method describes the whole way."""
    content(**from_many(method="none", images=2000), start=FILES)
    none, later = expand("any", config())
    assert started(none) == {"G": "a", "G_ema": "a", "D": "b"}
    assert [name for name, _ in later.plugins].count("transfer") == 1
    assert later.parent and [name for name, _ in later.parent.plugins] == ["none"]
    content(**from_many(method="none", images=2000))
    assert expand("any", config())[1].digest == later.digest


def test_data_of_ones_own_do_not_start_from_the_files(content):
    """Images of another kind or resolution: the runs are those of an artefact without `start`."""
    own = {"mine": {"path": "/data/mine.zip", "resolution": 32}}
    content(start=FILES)
    with_files = expand("any", config(datasets=own))
    (moved,) = expand("any", config(datasets={"elpv": {"path": "/data/elpv"}}))  # only looked for elsewhere
    content()
    assert [run.digest for run in with_files] == [run.digest for run in expand("any", config(datasets=own))]
    assert [name for name, _ in with_files[0].plugins] == ["none"] and next(
        name for name, _ in moved.plugins
    ) == "transfer"


@pytest.mark.parametrize(
    "start, words",
    [
        ({"D": {"file": "D.safetensors"}}, "^config/artefacts/any.yaml lacks sha256 under start.D.$"),
        ({"D": {"file": "a", "sha256": "A" * 64}}, "^start.D.sha256 = 'A{64}' is not allowed: .*Change it in config"),
        ({"D": {"file": "a", "sha256": "ab"}}, "^start.D.sha256 = 'ab' is not allowed: .*Change it in config"),
        ({"D": {"file": 7, "sha256": "a" * 64}}, "^start.D.file = 7 must be of type string. Change it in"),
        ({"Gema": FILES["D"]}, "^unknown key 'start.Gema'. Did you mean 'start.G_ema'"),
        ({"run": {"method": "none"}}, "^unknown key 'start.run'.* Known: start.D, start.G, start.G_ema"),
        ({"D": {**FILES["D"], "sha": "a"}}, "^unknown key 'start.D.sha'. Did you mean 'start.D.sha256'"),
        ({}, "^start = {} is not allowed: "),
    ],
)  # fmt: skip
def test_a_start_that_names_no_file_is_refused_in_one_sentence(content, start, words):
    with pytest.raises(ConfigError, match=words) as refused:
        content(start=start)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_and_a_network_beside_it_are_refused_with_the_reason(content):
    content(start={"checkpoint": FILES["D"], "D": FILES["D"]})
    (cell,) = cells.cells(config())["any"]
    assert cell.refused[0] == "error" and "needs either `run`, `checkpoint` or one or more of G, D" in cell.refused[1]
