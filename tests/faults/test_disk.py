"""A full disk and one that cannot be written, under every writer: one line, nothing half-written, then it goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from leangan.artefacts import style
from leangan.core.files import write_atomic
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.metrics.base import Features
from leangan.metrics.store import save_features
from leangan.runs import rows
from leangan.training import checkpoint, log
from leangan.training.samples import CELLS, save_images
from leangan.training.snapshot import save_generator
from tests.helpers import fault_worker as worker
from tests.helpers.fault_commands import COMMANDS, Command, Inputs, left_by, train_options

SPACE = 16 * 2**20


class Disk:
    """A file system of `SPACE` bytes at `path`, which can be filled up and made read-only."""

    def __init__(self, path: Path) -> None:
        self.path, self.ballast = path, path / ".ballast"

    def fill(self) -> None:
        with self.ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def empty(self) -> None:
        self.ballast.unlink()

    def mount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", path]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs Linux and the rights of root")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


class OneLayer(nn.Linear):
    def __init__(self) -> None:
        super().__init__(64, 64)


WRITERS = {
    "checkpoint": lambda path, spec: checkpoint.save(path, {"cur_nimg": 8, "weights": torch.zeros(5000)}),
    "snapshot.safetensors": lambda path, spec: save_generator(path, OneLayer(), spec, Kind(), 8),
    "samples.png": lambda path, spec: save_images(path, torch.randint(0, 256, (CELLS, 3, 16, 16), dtype=torch.uint8)),
    "train.jsonl": lambda path, spec: log.append(path, {"cur_nimg": 8, "note": "x" * 9000}),
    "features.safetensors": lambda path, spec: save_features(path, Features(torch.zeros(64, 64), None), {}),
    "rows.jsonl": lambda path, spec: rows.write(path, [rows.without_value(spec, "proxy", "error", "x" * 9000)]),
    "figure": lambda path, spec: style.save(style.message("none"), path),
    "table.md": lambda path, spec: write_atomic(path, "x" * 9000),
}


class Kind:
    channels, classes, class_names = 3, 0, ()


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_on_a_full_disk_names_its_file_and_leaves_nothing_of_it(disk, make_spec, name):
    spec: RunSpec = make_spec()
    path = disk.path / "results" / name
    path.parent.mkdir()
    disk.fill()
    with pytest.raises(OSError, match="No space left on device") as caught:
        WRITERS[name](path, spec)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename.startswith(str(path))
    # A log grows: what did not fit of its last line is cut off when the run continues.
    left = [file for file in path.parent.rglob("*") if file.is_file()]
    assert left == ([path] if name == "train.jsonl" else [])
    disk.empty()
    WRITERS[name](path, spec)
    assert sum(file.stat().st_size for file in path.parent.rglob("*")) > 1000


def test_a_line_of_the_log_that_a_full_disk_cut_off_is_written_again(disk):
    path = disk.path / "train.jsonl"
    for nimg in (8, 16):
        log.append(path, {"cur_nimg": nimg})
    disk.fill()
    with pytest.raises(OSError, match="train.jsonl"):
        log.append(path, {"cur_nimg": 24, "note": "x" * 9000})
    disk.empty()
    log.rewind(path, 16)
    log.append(path, {"cur_nimg": 24})
    assert [json.loads(line)["cur_nimg"] for line in path.read_text().splitlines()] == [8, 16, 24]


def subset_options(inputs: Inputs, out: Path) -> list:
    return ["--data", inputs.data, "--size", 24, "--seed", 0, "--out", out / "subset.json"]


def compute_options(inputs: Inputs, out: Path) -> list:
    run = inputs.folder / "diverged"
    if not run.exists():
        run.mkdir()
        shutil.copy(inputs.spec, run)
        digest = RunSpec.read(inputs.spec).digest
        train = {"run": "a/b", "digest": digest, "status": "diverged", "reason": "not finite", "provenance": None}
        (run / "train.json").write_text(json.dumps(train))
    return ["--protocol", "proxy", "--real", "none", "--fake", "none", "--run-dir", run, "--out", out / "proxy.jsonl"]


def page_options(inputs: Inputs, out: Path) -> list:
    files = ["--results", inputs.results / "results.csv", "--rows", inputs.results / "rows"]
    return [*files, "--published", ROOT / "results/published/published.csv", "--out", out / "index.html"]


def prepare_alone_options(inputs: Inputs, out: Path) -> list:
    return [*COMMANDS["prepare"].options(inputs, out), "--jobs", 1]


ALL = {
    **COMMANDS,
    "prepare": Command("prepare", prepare_alone_options),
    "subset": Command("subset", subset_options),
    "compute": Command("compute", compute_options),
    "page": Command("page", page_options),
}


ELSEWHERE = ("train", "features", "render")
"""Commands of seconds, whose going on after an error is that after a kill, see test_kill.py."""


@pytest.mark.parametrize("fault, words", [("full", "No space left on device"), ("read-only", "Read-only file system")])
@pytest.mark.parametrize("name", ALL)
def test_a_command_ends_with_one_line_and_continues_when_there_is_room(disk, inputs, tmp_path, name, fault, words):
    command, out = ALL[name], disk.path / "out"
    out.mkdir()
    command.begin(inputs, out)
    before = left_by(out)
    options = command.options(inputs, out)
    disk.fill() if fault == "full" else disk.mount("ro")
    assert run(command.name, options, tmp_path) == 1
    said = [line for line in (tmp_path / "output").read_text().splitlines() if line.startswith("error:")]
    assert len(said) == 1 and words in said[0] and str(out) in said[0], (tmp_path / "output").read_text()
    assert "the same command continues" in said[0]
    assert "Traceback" not in (tmp_path / "output").read_text()
    assert left_by(out) == before
    if fault == "full" and name not in ELSEWHERE:
        disk.empty()
        assert run(command.name, options, tmp_path) == 0, (tmp_path / "output").read_text()
        assert len(left_by(out)) > len(before)


def run(command: str, options: list, folder: Path) -> int:
    (folder / "output").unlink(missing_ok=True)
    process = worker.forked(command, options, folder)
    process.join(120)
    return process.exitcode


def test_a_disk_that_fills_up_while_a_run_trains_costs_nothing_but_time(disk, inputs, tmp_path):
    out = disk.path / "run"
    options = train_options(inputs, out)
    process = worker.forked("train", options, tmp_path)
    deadline = time.monotonic() + 60
    while not list(out.glob("ckpt/*.pt")):
        assert time.monotonic() < deadline and process.is_alive(), (tmp_path / "output").read_text()
        time.sleep(0.01)
    disk.fill()
    process.join(60)
    assert process.exitcode == 1 and not (out / "train.json").exists()
    assert "No space left on device" in (tmp_path / "output").read_text().splitlines()[-1]
    disk.empty()
    assert run("train", options, tmp_path) == 0
    assert left_by(out) == left_by(inputs.trained())


def test_what_writers_left_that_were_killed_is_removed(tmp_path):
    young, old = tmp_path / ".a.json.x1.leangan.tmp", tmp_path / ".b.json.x2.leangan.tmp"
    for file in (young, old):
        file.write_text("{")
    os.utime(old, (time.time() - 7200,) * 2)
    write_atomic(tmp_path / "c.json", "{}")
    assert young.exists() and not old.exists()
    (tmp_path / ".000-x.pt.x3.leangan.tmp").write_bytes(b"half")
    checkpoint.save(tmp_path, {"cur_nimg": 8})
    assert not list(tmp_path.glob(".*.tmp"))
