"""Processes killed for memory, too little of it, faults of a method, and several commands on the same files at once."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

from leangan import cli
from leangan.core.project import ROOT
from leangan.data import prepare
from leangan.data.contracts import open_dataset
from leangan.data.readers.folder import Folder
from leangan.metrics import compute
from leangan.results.collect import collect
from leangan.results.table import to_csv
from leangan.runs import rows
from leangan.training import loop
from leangan.training import run as training
from tests.helpers import fault_worker as worker
from tests.helpers.fault_commands import COMMANDS, left_by, train_options


def test_a_worker_that_is_killed_ends_preparation_with_one_line_and_it_continues(inputs, tmp_path):
    """As the kernel does for want of memory."""
    command, out = COMMANDS["prepare"], tmp_path / "out"
    out.mkdir()
    options = command.options(inputs, out)
    process = worker.forked(command.name, options, tmp_path)
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while not (list(out.glob(".*.journal")) and workers):
        assert time.monotonic() < deadline and process.is_alive(), (tmp_path / "output").read_text()
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
        time.sleep(0.01)
    workers[0].send_signal(signal.SIGKILL)
    process.join(60)
    said = (tmp_path / "output").read_text()
    assert process.exitcode == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: a job was killed, perhaps for lack of memory; the same command")
    again = worker.forked(command.name, options, tmp_path)
    again.join(60)
    assert again.exitcode == 0
    assert sorted(left_by(out)) == ["mine-64.json", "mine-64.npy"]


def prepare_within(limit_bytes: int, options: list[str], folder: str) -> None:
    """`leangan prepare` with `limit_bytes` more of address space than it has at the start."""
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + limit_bytes,) * 2)
    worker.work("prepare", options, folder)


def test_too_little_memory_for_an_image_is_no_fault_of_the_image(tmp_path):
    """The other images that are done stay done: a broken image would end the work for good."""
    (tmp_path / "images").mkdir()
    Image.new("1", (8000, 8000)).save(tmp_path / "images" / "large.png")
    options = ["--dataset", "mine", "--path", tmp_path / "images", "--resolution", "8", "--out", tmp_path / "mine.npy"]
    arguments = (150 * 2**20, [str(option) for option in options], str(tmp_path))
    process = worker.CONTEXT.Process(target=prepare_within, args=arguments)
    process.start()
    process.join(60)
    said = (tmp_path / "output").read_text()
    assert process.exitcode == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: out of memory") and "the same command continues" in said
    assert (tmp_path / ".mine.npy.journal").exists()


def test_too_little_memory_for_training_is_no_fault_of_the_method(inputs, tmp_path, monkeypatch, capsys):
    """torch raises RuntimeError; a status `error` in train.json would end the run for good."""
    monkeypatch.setattr(loop.Trainer, "d_step", lambda *_: torch.empty(10**15))
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", *map(str, train_options(inputs, tmp_path))])
    assert str(ended.value).startswith("error: out of memory (") and "the same command continues" in str(ended.value)
    assert "\n" not in str(ended.value)
    assert not (tmp_path / "train.json").exists()


def raising(*_: object) -> None:
    raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(
    "step, status, words",
    [(raising, "error", "RuntimeError: shapes do not match"), (None, "diverged", "not finite between 0 and")],
)
def test_a_fault_of_the_method_is_a_row_with_its_reason(make_spec, inputs, tmp_path, monkeypatch, step, status, words):
    if step is not None:
        monkeypatch.setattr(loop.Trainer, "d_step", step)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "spec.json").write_text(make_spec(hyper={"lr_d": 1e30, "lr_g": 1e30}).to_json())
    options = ["--spec", run_dir / "spec.json", "--data", inputs.data, "--subset", inputs.subset]
    assert training.main([*map(str, options), "--run-dir", str(run_dir), "--device", "cpu"]) == 0
    files = ["--real", "none", "--fake", "none", "--run-dir", run_dir, "--out", tmp_path / "proxy.jsonl"]
    compute.main(["--protocol", "proxy", *map(str, files)])
    (row,) = rows.read(tmp_path / "proxy.jsonl")
    assert row.status == status and words in row.reason and row.value is None


def test_pixels_that_were_done_are_not_decoded_again_where_the_metadata_did_not_fit(inputs, tmp_path, monkeypatch):
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    source, out = Folder("mine", inputs.folder / "images", "free"), tmp_path / "mine.npy"
    with monkeypatch.context() as patched, pytest.raises(OSError, match="mine.json"):
        patched.setattr(prepare, "write_atomic", full)
        prepare.prepare(source, out)
    decoded = []
    monkeypatch.setattr(Folder, "image", lambda self, index: decoded.append(index) or Image.new("RGB", (64, 64)))
    assert prepare.prepare(source, out)["count"] == len(source)
    assert decoded == [0]  # for its size
    assert open_dataset(out).meta["sha256"] == hashlib.sha256(open_dataset(out).images.tobytes()).hexdigest()


def test_two_calls_for_one_run_train_it_once(inputs, tmp_path):
    out = tmp_path / "run"
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    processes = [worker.forked("train", train_options(inputs, out), folder) for folder in folders]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    said = [(folder / "output").read_text() for folder in folders]
    assert sum("waiting for it to end" in text for text in said) == 1
    assert left_by(out) == left_by(inputs.trained())


def test_eight_collectors_at_once_while_rows_are_written_anew_lose_none(inputs, tmp_path):
    """Every state of the table that a reader can meet is the whole one."""
    rows_folder, out = inputs.results / "rows", tmp_path / "results.csv"
    whole = to_csv(collect([rows_folder]))
    file = min(rows_folder.glob("*/*/proxy.jsonl"))
    content = rows.read(file)
    for number in range(8):
        (tmp_path / str(number)).mkdir()
    options = ["--rows", rows_folder, "--out", out]
    processes = [worker.forked("collect", options, tmp_path / str(number)) for number in range(8)]
    seen = 0
    while any(process.is_alive() for process in processes):
        rows.write(file, content)
        if out.exists():
            assert out.read_text() == whole
            seen += 1
    said = [(tmp_path / str(number) / "output").read_text() for number in range(8)]
    assert [process.exitcode for process in processes] == [0] * 8, said
    assert out.read_text() == whole and seen > 0
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.long
def test_two_workflows_at_once_in_one_tree(tmp_path):
    """Both end well, no row is lost or twice there, and what they leave is what one alone leaves."""
    from tests.workflow.test_workflow import SMOKE, SNAKEMAKE

    results = {}
    for name, calls in (("alone", 1), ("together", 2)):
        folder = tmp_path / name
        left_out = " ".join(
            f"--exclude='{name}'" for name in (".venv", ".git", ".snakemake", ".*_cache", "resources", "smoke")
        )
        copy = f"tar cf - {left_out} ."
        subprocess.run(f"mkdir {folder} && {copy} | tar xf - -C {folder}", shell=True, cwd=ROOT, check=True)
        (folder / "blobs").mkdir()
        for i in range(48):
            Image.effect_noise((16, 16), i + 1).convert("RGB").resize((16, 16)).save(folder / f"blobs/{i:02d}.png")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        processes = []
        for number in range(calls):
            with open(tmp_path / f"{name}{number}", "wb") as log:
                command = [SNAKEMAKE, "--cores", "1", "all", "--config", *SMOKE]
                processes.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
        codes = [process.wait(1200) for process in processes]
        logs = [(tmp_path / f"{name}{number}").read_text() for number in range(calls)]
        assert codes == [0] * calls, [log[-3000:] for log in logs]
        waited = ["Another call works in this folder" in log for log in logs]
        assert sum(waited) == calls - 1
        # The later one trains and measures nothing.
        assert sum(bool(re.search(r"^ (train|measure) ", log, re.MULTILINE)) for log in logs) == 1
        table = collect([folder / "results/smoke/rows"])
        results[name] = [(row.run, row.metric, row.kimg, row.protocol.name, row.status) for row in table]
        assert table
    assert results["alone"] == results["together"]
