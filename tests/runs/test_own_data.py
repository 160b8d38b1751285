"""Own data: what `auto` and `all` stand for, what replaces an artefact's own, and which runs are refused beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.core import visible_gpus
from leangan.core.errors import ConfigError
from leangan.core.schemas import parse
from leangan.planning import plan
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.asked import asked
from leangan.runs.cells import cells as cells_of
from leangan.runs.choices import auto_preset
from leangan.runs.command import needed_config
from leangan.runs.config import artefact, check_sources, configured
from leangan.runs.grid import _fault, expand, refusal
from leangan.runs.presets import preset_at
from leangan.runs.sections import SIDES

OWN = "own-images"


def images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((32, 32, 3), i, np.uint8)).save(folder / f"{i:02}.png")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that gives the configuration of a set of 12 cats and 8 dogs, `pets`, with more keys."""
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "pets/cats", 12)
    images(tmp_path / "pets/dogs", 8)
    entry = {"path": str(tmp_path / "pets"), "resolution": 32}
    return lambda **keys: configured(
        **{"artefacts": [OWN], "scale": "smoke", "device": "cpu", "datasets": {"pets": entry}, **keys}
    )


# ---- auto ----


@pytest.mark.parametrize("resolution", SIDES)
def test_every_resolution_has_a_preset_that_can_be_built_on_either_device(resolution):
    for device in ("cpu", "cuda"):
        stated = preset_at(auto_preset(resolution, device).preset, resolution, "a test")
        assert _fault(stated.backbone, json.dumps(stated.hyper), resolution) is None


def test_a_gpu_trains_published_settings_and_a_cpu_what_it_can():
    assert [auto_preset(px, "cuda").preset for px in (16, 32, 64, 128, 1024)] == ["cifar"] * 2 + ["auto-1gpu"] * 3
    assert [auto_preset(px, "cpu").preset for px in (8, 32, 64, 128)] == ["tiny-batch16"] * 3 + ["auto-1gpu"]
    assert "use a GPU" in auto_preset(256, "cpu").reason and "GPU" not in auto_preset(64, "cpu").reason


def test_the_device_is_that_of_the_configuration_or_what_is_there(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for found, preset in (([], "tiny-batch16"), (["GPU-a"], "cifar")):
        monkeypatch.setattr(visible_gpus, "installed", lambda found=found: found)
        assert auto_preset(32, "auto").preset == preset


def test_a_run_is_the_one_whose_preset_and_classes_are_named(own):
    named = {"preset": "tiny-batch16", "conditional": True}
    assert [run.digest for run in expand(OWN, own())] == [run.digest for run in expand(OWN, own(**named))]
    assert {run.preset for run in expand(OWN, own(device="cuda"))} == {"cifar"}


def test_a_set_without_two_classes_is_learnt_without(own, tmp_path):
    flat = {"cats": {"path": str(tmp_path / "pets/cats"), "resolution": 32}}
    assert {run.conditional for run in expand(OWN, own(datasets=flat))} == {False}
    assert {run.conditional for run in expand(OWN, own())} == {True}
    assert {run.conditional for run in expand(OWN, own(conditional=False))} == {False}
    assert {run.conditional for run in expand("demo", own())} == {False}
    assert {run.conditional for run in expand("demo", own(conditional="auto"))} == {True}


def test_the_configuration_replaces_the_presets_of_any_artefact(own):
    assert {run.preset for run in expand("demo", own(preset="auto", device="cuda"))} == {"cifar"}
    assert {run.preset for run in expand("cifar10-few", own(preset="paper256"))} == {"paper256"}


# ---- Methods ----


def test_methods_are_added_and_only_methods_replace(own):
    assert [run.method for run in expand(OWN, own(methods=["bcr"]))] == ["none", "diffaugment", "da", "ada", "bcr"]
    assert [run.method for run in expand(OWN, own(only_methods=["ada", "none"]))] == ["ada", "none"]
    assert [run.method for run in expand(OWN, own(only_methods=["ada"], methods=["bcr"]))] == ["ada", "bcr"]


def test_a_method_that_the_scale_leaves_out_can_be_asked_for():
    asked_for = configured(scale="day", only_methods=["ada"])
    assert {run.method for run in expand("diffaugment-table4-biggan", asked_for)} == {"ada"}


def test_figures_and_sweeps_draw_the_methods_that_are_left():
    shown = artefact("ada-fig4")
    left = asked(shown, configured(only_methods=["none"]))
    assert left.layout.sweep.lines == {} and shown.layout.sweep.lines
    stated = {
        **shown.model_dump(exclude_unset=True),
        "figures": ["curves", {"samples": ["none", "ada"]}, {"strips": ["ada"]}],
    }
    content = parse(ArtefactConfig, stated, "any.yaml")
    assert asked(content, configured(only_methods=["none"])).figures == {"curves": None, "samples": ["none"]}
    assert asked(content, configured()) is content


def test_grids_that_become_the_same_are_one():
    content = asked(artefact("methods-demo"), configured(only_methods=["none", "ada"]))
    settings = [(grid.dataset, grid.images, grid.preset) for grid in content.grid]
    assert len(settings) == len({str(each) for each in settings}) < len(artefact("methods-demo").grid)


def test_the_controller_of_long_runs_is_the_published_one(own):
    def tune(scale: str) -> float:
        (run,) = expand(OWN, own(scale=scale, only_methods=["ada"], images=[10]))[:1]
        return dict(run.plugins)["ada"]["tune_kimg"]

    assert [tune(scale) for scale in ("smoke", "hours", "day", "paper")] == [10, 10, 500, 500]
    assert [run.total_kimg for run in expand(OWN, own(scale="day"))][:1] == [2000], "lengths stay the scale's"


# ---- Sizes ----


def test_all_is_the_size_of_the_set_in_the_id(own):
    ids = {run.run_id.split("/")[0] for run in expand(OWN, own(images=[10, "all", 20]))}
    assert ids == {"pets-10", "pets-20"}
    assert {run.images for run in expand("demo", configured(images=["all"]))} == {1074}


def test_all_of_a_set_that_is_not_there_is_left_to_the_check_of_its_path(own, tmp_path):
    gone = own(datasets={"pest": {"path": str(tmp_path / "pest"), "resolution": 32}}, images=[10, "all"])
    assert {run.images for run in expand(OWN, gone)} == {10}
    with pytest.raises(ConfigError, match="has no 'pest'. Did you mean 'pets'"):
        check_sources(gone)
    unknown = configured(datasets={"lsun-cat-full": {"resolution": 32}}, images=["all"])
    with pytest.raises(ConfigError, match="the number of images in lsun-cat-full is not known. Give a number"):
        expand("demo", unknown)


def refused(config, name=OWN) -> dict[tuple[int, str], str | None]:
    return {(cell.spec.images, cell.spec.method): cell.refused and cell.refused[1] for cell in cells_of(config)[name]}


def test_a_size_that_the_set_does_not_have_is_refused_and_the_others_are_not(own):
    found = refused(own(images=[10, 21, 1000, "all"], only_methods=["none"]))
    assert found == {
        (10, "none"): None,
        (21, "none"): "it trains on 21 images, and pets has 20",
        (1000, "none"): "it trains on 1,000 images, and pets has 20",
        (20, "none"): None,
    }


def test_twice_a_known_set_is_not_too_many():
    found = refused(configured(artefacts=["demo"], images=[1074, 1075, 2148], only_methods=["none"]), "demo")
    assert [reason for reason in found.values() if reason] == ["it trains on 1,075 images, and elpv-mono has 1,074"]


def test_a_method_that_needs_held_out_images_is_refused_where_the_set_has_no_more(own):
    found = refused(own(images=[4, 10, "all"], only_methods=["none", "ada-rv"]))
    assert [reason for (_, method), reason in found.items() if method == "none"] == [None] * 3
    assert found[4, "ada-rv"] is None, "a batch of 16"
    assert found[10, "ada-rv"] == "it needs a batch of 16 held-out images; the run holds out 10"
    assert found[20, "ada-rv"] == "it needs a batch of 16 held-out images; the run holds out 0"


def test_classes_that_the_set_does_not_have_are_refused(own, tmp_path):
    images(tmp_path / "one", 3)
    labels = [[f"{i:02}.png", 0] for i in range(3)]
    (tmp_path / "one/dataset.json").write_text(json.dumps({"labels": labels, "classes": ["cats"]}))
    places = {"flat": tmp_path / "pets/cats", "one": tmp_path / "one"}
    sets = {name: {"path": str(path), "resolution": 32} for name, path in places.items()}
    members = cells_of(own(datasets=sets, conditional=True, images=[3], only_methods=["none"]))[OWN]
    assert all(
        cell.refused[0] == "skip" and "it is conditional, and the images of" in cell.refused[1] for cell in members
    )
    known = configured(artefacts=["demo"], conditional=True)
    assert {cell.refused[1] for cell in cells_of(known)["demo"]} == {
        "it is conditional, and the images of elpv-mono have no labels"
    }


def test_equal_shares_of_classes_need_labels(own, tmp_path):
    flat = {"flat": {"path": str(tmp_path / "pets/cats"), "resolution": 32}}
    for sets, count in ((flat, 1), ({"pets": {"path": str(tmp_path / "pets"), "resolution": 32}}, 0)):
        run = expand(OWN, own(datasets=sets, images=[3], conditional=False))[0]
        reason = refusal(replace(run, subset_rule="balanced"), sets[run.dataset]["path"])
        assert bool(reason) == bool(count) and refusal(run, sets[run.dataset]["path"]) is None
    assert (
        "subset rule 'balanced' needs labels"
        in refusal(replace(expand("demo", configured())[0], subset_rule="balanced"))[1]
    )


def test_a_set_that_is_not_there_refuses_nothing(own, tmp_path):
    gone = own(datasets={"gone": {"path": str(tmp_path / "gone"), "resolution": 32}}, images=[1000])
    assert not [cell for cell in cells_of(gone)[OWN] if cell.refused]
    assert refusal(expand(OWN, gone)[0]) is None


# ---- Paths, names, the command of a row, the plan ----


def test_a_path_may_begin_with_the_home_folder(own, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = own(datasets={"pets": {"path": "~/pets", "resolution": 32}})
    assert config.path_of("pets") == str(tmp_path / "pets")
    assert config.given()["datasets"]["pets"]["path"] == "~/pets", "and stays as it was written"
    check_sources(config)


def test_tables_are_named_after_the_sets_that_replace_the_artefacts(own):
    two = {name: {"path": "x", "resolution": 32} for name in ("flowers", "pets")}
    assert own().output_name(OWN) == "own-images-pets"
    assert own(datasets=two).output_name("demo") == "demo-flowers+pets"
    assert own(datasets={"ffhq": {"path": "/data/ffhq"}}).output_name("ada-fig1") == "ada-fig1"


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"device": "cuda", "images": [10, "all"]},
        {"preset": "auto", "conditional": "auto", "only_methods": ["bcr", "none"]},
        {"preset": "tiny", "conditional": False, "only_methods": ["ada"], "methods": ["lecam"]},
    ],
)
@pytest.mark.parametrize("name", [OWN, "demo", "methods-demo"])
def test_the_command_of_a_row_makes_it_on_any_device(own, keys, name):
    config = own(**keys)
    for run in expand(name, config):
        needed = needed_config(run, name, config)
        assert "all" not in needed.get("images", []) and "auto" not in (needed.get("preset"), needed.get("conditional"))
        again = expand(name, configured(**{**needed, "device": "cpu"}))
        assert run.run_id in {each.run_id for each in again}


def test_keys_that_change_nothing_are_not_in_the_command_of_a_row():
    config = configured(only_methods=["ada"])
    (run,) = expand("demo", config)
    assert needed_config(run, "demo", config) == {"scale": "demo"}


def test_the_plan_says_what_is_known_and_chosen_and_why(own, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    lines = list(plan.describe(own(images=[10, 1000])))
    assert (
        "pets at 32 px: 20 images, 2 classes; preset tiny-batch16, a network that a CPU trains, made for 32 px; "
        in ("\n".join(lines))
    )
    assert "refused, 4 runs: skip: it trains on 1,000 images, and pets has 20" in lines
    assert any(line.endswith("prepared images 61 kB") for line in lines), "20 images of 3 x 32 x 32 bytes"
    gone = own(datasets={"pest": {"path": str(tmp_path / "pest"), "resolution": 32}})
    (missing,) = [line for line in plan.describe(gone) if line.startswith("missing")]
    assert missing.startswith("missing: pest: no file or folder") and "Did you mean 'pets'" in missing


def test_the_cost_of_every_choice_for_a_gpu_is_known(own):
    for resolution in (32, 64, 128, 256, 512, 1024):
        (run,) = expand(OWN, own(datasets={"elpv": {"resolution": resolution}}, device="cuda", only_methods=["none"]))
        assert plan.cost.training_hours(run, {}), resolution


def test_the_plan_says_which_numbers_a_set_is_too_small_for(own, tmp_path):
    images(tmp_path / "three", 3)
    small = {"datasets": {"three": {"path": str(tmp_path / "three"), "resolution": 32}}, "images": ["all"]}
    (line,) = plan.summary(own(**small))["data_sets"]
    assert line.endswith("; no Precision: it needs 4 images or more; no Recall: it needs 4 images or more")
    (line,) = plan.summary(own(images=[1, 8]))["data_sets"]
    assert " it needs " not in line, "the reals are all 20"
