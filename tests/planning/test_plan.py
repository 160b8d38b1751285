"""The plan: each run once, published and measured costs, what is there already, the space on the disk, a day."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.launching import devices
from leangan.planning import cost, plan
from leangan.planning.costs_file import read_costs
from leangan.runs.config import artefact_names, configured, paper_artefacts
from leangan.runs.grid import expand
from leangan.runs.presets import preset_at, presets
from leangan.runs.rows import line_of, without_value
from leangan.training.loop import train

CPU = torch.device("cpu")


config = configured


def spec_of(preset: str, resolution: int, make_spec, **changes) -> RunSpec:
    stated = preset_at(preset, resolution, "a test")
    length = {"total_kimg": stated.kimg, "snapshot_kimg": stated.snapshot_kimg, "resolution": resolution}
    of_preset = {"labels": stated.labels("none", "Baseline"), "backbone": stated.backbone, "hyper": stated.hyper}
    return replace(make_spec(), **{**of_preset, **length, **changes})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder of results and resources, in which the plan looks."""
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    return tmp_path


# ---- What is planned ----


def test_paper_stands_for_the_artefacts_of_both_papers():
    every = [name for name in artefact_names() if name.startswith(("ada-", "diffaugment-"))]
    assert config(scale="paper", artefacts=["paper"]).artefacts == every and len(every) >= 24
    assert config(scale="paper", artefacts=["demo", "paper", every[0]]).artefacts == ["demo", *every]
    assert "paper" not in artefact_names()


def test_a_scale_may_keep_a_part_of_the_papers_and_of_a_grid():
    assert paper_artefacts("day") == ["diffaugment-table4-biggan"]
    runs = expand("diffaugment-table4-biggan", config(scale="day"))
    assert {(run.dataset, run.images, run.method) for run in runs} == {
        ("cifar10", images, method) for images in (50000, 5000) for method in ("none", "diffaugment-tc")
    }
    assert {run.total_kimg for run in runs} == {6000} and len(runs) == 4
    added = expand("diffaugment-table4-biggan", config(scale="day", images=[100], methods=["cr"]))
    assert {(run.images, run.method) for run in added} == {(100, m) for m in ("none", "diffaugment-tc", "cr")}


def test_every_run_is_counted_once(project):
    summary = plan.summary(config(scale="paper", artefacts=["ada-fig1", "ada-fig7", "ada-fig8a"]))
    parts = summary["artefacts"].values()
    # Seven sizes; 48 cells of which six are those of fig. 1; 27 of which three sizes of the baseline and one of ADA's.
    assert [part["runs"] for part in parts] == [21, 3 * 42, 3 * (27 - 3 - 2)]
    assert [part["shared"] for part in parts] == [0, 18, 15]
    assert summary["total"]["runs"] == len({run["run"] for run in summary["runs"]}) == sum(p["runs"] for p in parts)
    for key in ("kimg", "kimg_to_do"):
        assert summary["total"][key] == sum(part[key] for part in parts) == 25000 * summary["total"]["runs"]


# ---- Hours ----


@pytest.mark.parametrize(
    "preset, resolution, device, hours",
    [
        ("paper256", 256, "V100", 165),  # 25,000 kimg: 6 days 21 hours (README of stylegan2-ada-pytorch)
        ("diffaugment-cifar", 32, "GPU of 2020", 2 * 24 * 6),
        ("biggan-cifar", 32, "GPU of 2020", 24 * 2),
    ],
)
def test_published_costs_are_those_of_the_papers(make_spec, preset, resolution, device, hours):
    assert cost.training_hours(spec_of(preset, resolution, make_spec), {}) == {device: pytest.approx(hours, rel=0.05)}


def test_what_is_not_known_is_not_guessed(make_spec):
    assert cost.training_hours(spec_of("biggan-imagenet128-100", 128, make_spec), {}) == {}
    assert cost.training_hours(spec_of("paper256", 64, make_spec), {}) == {}
    assert cost.measuring_hours(make_spec(), "proxy", "demo") == {}


def test_networks_that_cannot_be_built_are_left_to_the_run(make_spec):
    assert cost.disk_bytes(spec_of("biggan-cifar", 64, make_spec)) == {}


def test_measuring_counts_snapshots_and_fakes(make_spec):
    # 125 times fid50k_full at 256 px, each 5 minutes; 15 at 1024, and 512 no cheaper; ten seeds; a fifth of the fakes.
    hours = [cost.measuring_hours(spec_of("paper256", 256, make_spec), "ada", "paper")["V100"]]
    hours += [cost.measuring_hours(spec_of("paper512", 512, make_spec), "ada", "paper")["V100"]]
    hours += [cost.measuring_hours(spec_of("paper256", 256, make_spec), "clean-fid-full", "paper")["V100"]]
    hours += [cost.measuring_hours(spec_of("paper256", 256, make_spec), "ada", "day")["V100"]]
    assert hours == pytest.approx([125 * 5 / 60, 125 * 15 / 60, 10 * 125 * 5 / 60, 125 / 60])


def test_costs_name_presets_that_exist_and_their_sources():
    for entry in read_costs().training:
        assert set(entry.presets) <= set(presets())


def row_of(spec: RunSpec, rate: float) -> str:
    """A stored row as a run leaves it, of the one kind that needs no value."""
    provenance = dict.fromkeys(["commit", "dirty", "torch", "seconds", "time_utc"])
    provenance |= {"device": "NVIDIA H200", "images_per_s": rate}
    return line_of(without_value(spec, "ada", "diverged", "a test", provenance))


def test_measured_throughput_goes_before_published_cost(project, make_spec):
    spec = spec_of("paper256", 256, make_spec)
    for number, rate in enumerate([100.0, 250.0, 200.0]):
        folder = project / f"results/paper/rows/set-9/run{number}"
        folder.mkdir(parents=True)
        (folder / "ada.jsonl").write_text(row_of(spec, rate) + "\n")
    rates = cost.measured_rates(project / "results")
    assert cost.training_hours(spec, rates) == {"NVIDIA H200": pytest.approx(25e6 / 200 / 3600)}
    assert cost.training_hours(spec_of("paper512", 512, make_spec), rates).keys() == {"V100"}
    assert list(cost.sources([spec], rates)) == ["NVIDIA H200, measured: stored rows (paper256)"]


def test_the_papers_at_scale_day_take_one_gpu_a_day(project):
    """By the published costs: the bound that config/scales.yaml promises, of known cost throughout."""
    total = plan.summary(config(scale="day", artefacts=["paper"]))["total"]
    assert total["unknown"] == {"training": 0, "measuring": 0} and total["training_hours"].keys() == {"GPU of 2020"}
    hours = sum(total["training_hours"].values()) + sum(total["measuring_hours"].values())
    assert 18 <= hours <= 24


# ---- What is there already ----


def test_trained_begun_and_measured_runs_are_taken_off(project):
    settings = config(scale="day", artefacts=["paper"])
    before = plan.summary(settings)
    ids = [run["run"] for run in before["runs"]]
    runs, rows = project / "results/day/runs", project / "results/day/rows"
    for run in ids[:2]:
        (runs / run).mkdir(parents=True)
    (runs / ids[0] / "train.json").write_text("{}")
    (runs / ids[1] / "train.jsonl").write_text('{"kimg": 1000}\n{"kimg": 1500}\n')
    (rows / ids[2]).mkdir(parents=True)  # rows without their run, as in a fresh clone
    (rows / ids[2] / "diffaugment-cifar.jsonl").write_text("")
    after = plan.summary(settings)
    assert [run["state"] for run in after["runs"]] == [plan.TRAINED, plan.BEGUN, plan.TRAINED, plan.TO_DO]
    assert after["total"]["kimg"] == 4 * 6000 and after["total"]["kimg_to_do"] == 6000 + 4500
    hours = [each["total"]["training_hours"]["GPU of 2020"] for each in (before, after)]
    assert hours[1] / hours[0] == pytest.approx(10500 / 24000)
    measuring = [each["total"]["measuring_hours"]["V100"] for each in (before, after)]
    assert measuring[1] / measuring[0] == pytest.approx(3 / 4)


def test_a_log_line_that_is_being_written_is_no_error(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"kimg": 1}\n{"kim')
    assert plan.shown_kimg(tmp_path) == 0 and plan.shown_kimg(tmp_path / "none") == 0


# ---- Disk ----


@pytest.mark.parametrize("preset", ["tiny", "tiny-biggan"])
def test_checkpoints_and_snapshots_are_as_large_as_planned(tmp_path, make_spec, make_reals, preset):
    sixteen = {"g_maps": [64, 64, 32], "d_maps": [32, 64, 64], "d_down": 2} if preset == "tiny-biggan" else {}
    length = {"total_kimg": 0.064, "snapshot_kimg": 0.032}
    spec = spec_of(preset, 16, make_spec, conditional=preset == "tiny-biggan", **length)
    spec = replace(spec, hyper={**spec.hyper, **sixteen})
    reals = make_reals(conditional=spec.conditional)
    assert train(spec, reals, tmp_path, CPU, 0.016, 0, lambda: False).status == "done"
    planned = cost.disk_bytes(spec)
    for kind, folder in {"checkpoints": "ckpt", "snapshots": "snapshots"}.items():
        found = sum(file.stat().st_size for file in (tmp_path / folder).iterdir())
        assert found == pytest.approx(planned[kind], rel=0.1), kind


def test_features_are_those_of_all_fakes_of_all_snapshots(make_spec):
    spec = make_spec(total_kimg=0.128, snapshot_kimg=0.064)
    assert cost.feature_bytes(spec, "proxy", "demo") == 2 * 1000 * 1280 * 4
    # A snapshot of 50,000 Inception features takes 600 MB with the logits that the Inception Score needs.
    assert cost.feature_bytes(spec, "ada", "paper") == 2 * 50000 * (2048 + 1008) * 4


# ---- The command ----


def test_the_command_prints_a_table_or_json(project, capsys):
    options = ["--config", "{scale: day, artefacts: [paper]}"]
    assert plan.main(options) == 0
    text = capsys.readouterr().out
    assert "4 runs, 24,000 kimg: 0 trained, 0 begun, 4 to do" in text
    assert "published: README of data-efficient-gans: 50,000 kimg in about 1 day on 2 GPUs" in text
    assert plan.main([*options, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [run["kimg"] for run in summary["runs"]] == 4 * [6000]
    assert summary["runs"][0]["protocols"] == ["diffaugment-cifar"]


# ---- Devices ----


@pytest.mark.parametrize(
    "preset, resolution, devices_per_run, ranks",
    [
        ("cifar", 32, 8, 2),  # as many as the published runs had
        ("paper256", 256, 8, 8),
        ("paper256", 256, 7, 4),
        ("paper256", 256, 64, 8),
        ("diffaugment-cifar", 32, 16, 8),
        ("biggan-cifar", 32, 4, 2),
        ("biggan-cifar", 32, 8, 5),
        ("biggan-imagenet128-100", 128, 128, 128),
        ("tiny", 32, 3, 2),
    ],
)
def test_the_largest_number_of_devices_that_leaves_batch_and_groups(
    make_spec, preset, resolution, devices_per_run, ranks
):
    assert devices.most_ranks(spec_of(preset, resolution, make_spec), devices_per_run) == ranks


@pytest.mark.parametrize("key", ["devices_per_run", "runs_per_gpu"])
def test_the_number_of_devices_is_no_part_of_a_runs_identity(key):
    one, many = (expand("demo", config(**{key: count})) for count in (1, 8))
    assert [run.run_id for run in one] == [run.run_id for run in many]
    for wrong, words in ((0, f"{key} = 0"), ("two", f"{key} = 'two' must be of type integer")):
        with pytest.raises(ConfigError, match=words):
            config(**{key: wrong})
