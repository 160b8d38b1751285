"""The estimate before `make reproduce`: what is left to do, the sum of it, and one real trial."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from threading import Barrier

import pytest

from benchmarks import estimate
from benchmarks.estimate import Measuring, Training, counted, left, main, seconds
from leangan.core import visible_gpus
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.metrics.protocols import read_protocol
from leangan.planning import plan
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.cells import cells
from leangan.runs.config import configured

LENGTH = {"kimg": 2, "snapshot_kimg": 0.5}


def config(**changes):
    return configured(device="cpu", **LENGTH, **changes)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The empty folder of the scale's results, in which the estimate looks."""
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    return tmp_path / "results/demo"


def write(path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_left_is_what_the_plan_has_to_do(results):
    """Of the demo's four runs one is measured, one trained, one half trained and one not begun."""
    none, diffaugment, da, _ada = (cell.spec for cell in cells(config())["demo"])
    write(results / "rows" / none.run_id / "proxy.jsonl")
    write(results / "runs" / diffaugment.run_id / "train.json", "{}")
    write(results / "runs" / da.run_id / "train.jsonl", json.dumps({"kimg": 0.5}) + "\n")
    measuring = {Measuring("tiny-batch16", 32, "efficientnet_lite0"): 4 * 1000}
    assert left(config()) == [
        measuring,
        {Training("tiny-batch16", "da", 32): 1500, **measuring},
        {Training("tiny-batch16", "ada", 32): 2000, **measuring},
    ]


def test_refused_runs_are_not_left_and_runs_that_others_start_from_are_trained_alone(results, monkeypatch):
    grid = {"dataset": ["elpv"], "resolution": [32], "images": [32], "preset": ["tiny"]}
    content = {
        "title": "Any", "protocol": "proxy", "grid": {**grid, "method": ["shallow_mapping", "freeze-d"]},
        "method_args": {"transfer": {"run": {"method": "none", "images": 2000}}},
    }  # fmt: skip
    for module in ("grid", "cells"):
        monkeypatch.setattr(f"leangan.runs.{module}.artefact", lambda name: ArtefactConfig(**content))
    parent, later = left(config())
    assert parent == {Training("tiny", "none", 32): 2000}
    assert set(later) == {Training("tiny", "freeze-d", 32), Measuring("tiny", 32, "efficientnet_lite0")}


def test_the_time_is_that_of_the_longest_place():
    training, measuring = Training("a", "none", 32), Measuring("a", 32, "b")
    known = {training: 0.01, measuring: 0.002}
    one = {training: 1000, measuring: 500}  # 10 s and 1 s
    assert seconds([one], known, 1) == pytest.approx(11)
    assert seconds([one] * 3, known, 1) == pytest.approx(33)
    assert seconds([one] * 3, known, 2) == pytest.approx(22)  # the third waits: no half runs
    assert seconds([{training: 500}, {training: 500}, {training: 1000}], known, 2) == pytest.approx(10)
    assert seconds([one], {training: 0.01}, 1) == pytest.approx(10)  # an extractor that was not timed


def test_cores_are_a_number_or_all(monkeypatch):
    assert counted("3") == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 4, 5}, raising=False)
    assert counted("all") == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert counted("all") == 7
    for wrong in ("0", "-1", "two", "1.5", ""):
        with pytest.raises(ConfigError, match=f"^--cores is '{wrong}', must be a number of cores or all"):
            main(["--cores", wrong])


class Pool:
    """Stands for processes: takes the trials, and gives times for them or none before the limit."""

    def __init__(self, places: int, initializer: Callable[[], object]) -> None:
        self.asked.append(places)

    asked: list = []
    late = False

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def map_async(self, function, tasks, chunksize):
        self.asked += tasks
        return self

    def get(self, limit: float):
        if self.late and limit == 60:
            raise estimate.multiprocessing.TimeoutError
        places, *tasks = self.asked
        return [[0.01 * (1 + place) for _ in tasks[0]] for place in range(places)]


@pytest.fixture
def pool(monkeypatch):
    kind = type("Kind", (Pool,), {"asked": []})
    monkeypatch.setattr(
        estimate.multiprocessing, "get_context", lambda name: type("Context", (), {"Pool": kind, "Barrier": Barrier})
    )
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return kind


def told(capsys, options=("--cores", "2"), **changes) -> str:
    assert main([*options, "--config", json.dumps({"device": "cpu", **LENGTH, **changes})]) == 0
    return capsys.readouterr().out


def test_one_line_says_how_long(results, pool, capsys):
    """Four runs of 2,000 images and 4 x 1,000 fakes, at 10 and 20 ms an image, two after each other."""
    line = told(capsys)
    assert line.startswith(
        "4 runs, 8 kimg to train, take about 3 minutes on 2 cores (images/s of a run just now: none "
    )
    assert line.endswith("none 67, diffaugment-tc 67, da 67, ada 67).\n") and line.count("\n") == 1
    places, first, second = pool.asked
    assert places == 2 and first == second and len(first) == 5  # four trainings and, once for all, measuring


def test_a_run_on_two_threads_takes_two_cores(results, pool, capsys):
    assert "on 2 cores" in told(capsys, ("--cores", "3"), threads=2) and pool.asked[0] == 1


def test_nothing_left_is_nothing_said(results, pool, capsys):
    for cell in cells(config())["demo"]:
        write(results / "rows" / cell.spec.run_id / "proxy.jsonl")
    assert told(capsys) == "" and not pool.asked


def test_an_extractor_that_is_not_installed_is_named_and_never_loaded(results, pool, capsys, monkeypatch):
    monkeypatch.setattr(estimate, "read_protocol", lambda name: read_protocol("ada"))
    line = told(capsys)
    assert "on 2 cores, not counting measurements by inception_v3 (images/s" in line
    assert all(isinstance(task, Training) for task in pool.asked[1])


def test_there_is_no_estimate_that_takes_long_or_is_of_the_wrong_device(results, pool, capsys, monkeypatch):
    pool.late = True
    assert told(capsys) == "No estimate: 5 trials take more than 60 seconds.\n"
    monkeypatch.setattr(visible_gpus, "installed", lambda: ["GPU-a"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pool.asked.clear()
    assert told(capsys, device="auto") == "No estimate: the runs go to a GPU, which docs/gpu.md measures.\n"
    assert not pool.asked


@pytest.mark.parametrize(
    "device, hidden, expected",
    [("cpu", None, False), ("auto", None, True), ("auto", "-1", False), ("cuda", "-1", True)],
)
def test_jobs_use_gpus_that_are_there_and_not_hidden(monkeypatch, device, hidden, expected):
    monkeypatch.setattr(visible_gpus, "installed", lambda: ["GPU-a"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert visible_gpus.uses_gpus(device) is expected
    monkeypatch.setattr(visible_gpus, "installed", list)
    assert visible_gpus.uses_gpus(device) is (device == "cuda")


def test_a_trial_is_of_whole_repetitions_after_one_to_warm_up(monkeypatch):
    now = 0.0

    def repeat() -> int:
        nonlocal now
        now += 5.0 if now == 0 else 0.4
        return 8

    monkeypatch.setattr(estimate.time, "perf_counter", lambda: now)
    assert estimate.seconds_per_image(repeat) == pytest.approx(0.05)


def test_a_real_trial_trains_and_measures(monkeypatch):
    monkeypatch.setattr(estimate, "SECONDS", 0.0)
    tasks = [
        Training("tiny", "ada", 16),
        Measuring("tiny", 16, "efficientnet_lite0"),
        Measuring("tiny-biggan", 32, "shape_attributes"),
    ]
    assert [task.repeat()() for task in tasks] == [8 * 16, 32, 50]  # a cycle of R1; blocks of fakes
    assert all(0 < each < 1 for each in estimate.timed(1, tasks[1:2]))


def test_a_wrong_number_of_cores_ends_the_command_with_one_line():
    call = [sys.executable, "-m", "benchmarks.estimate", "--cores", "two"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch(
        r"error: --cores is 'two', must be a number.* or all; .*\n", done.stderr
    )


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_reproduce_goes_on_after_an_estimate_that_failed(tmp_path):
    """A pretended python, whose snakemake leaves the table and whose other modules fail."""
    table = "mkdir -p results/demo/tables && echo made > results/demo/tables/demo.md"
    program = tmp_path / ".venv/bin/python"
    write(program, f"#!/bin/sh\ncase $2 in snakemake) {table};; *) echo broken; exit 1;; esac\n")
    program.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        write(tmp_path / name)
    write(tmp_path / ".venv/installed")
    make = ["make", "-f", str(ROOT / "Makefile"), "reproduce"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "broken\n" in done.stdout and "\nmade\n" in done.stdout, done.stderr
