"""A run interrupted at any instant and started again leaves what it would have left undisturbed, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from leangan.core.project import ROOT
from leangan.runs.methods import method_plugins
from leangan.training import checkpoint, loop
from leangan.training import run as command
from leangan.training.loop import train


def left_behind(run_dir: Path) -> dict:
    """Everything a run leaves, without wall times."""
    lines = [json.loads(text) for text in (run_dir / "train.jsonl").read_text().splitlines()]
    for line in lines:
        del line["images_per_s"], line["seconds"]
    files = [*run_dir.glob("snapshots/*"), *run_dir.glob("samples/*")]
    return {"log": lines, **{str(f.relative_to(run_dir)): f.read_bytes() for f in sorted(files)}}


def run(spec, reals, run_dir: Path, stop=lambda: False, checkpoint_seconds: float = 0.0):
    return train(spec, reals, run_dir, torch.device("cpu"), 0.032, checkpoint_seconds, stop)


@pytest.mark.parametrize(
    "method, d_steps, conditional", [("none", 4, True), ("diffaugment", 1, False), ("ada", 2, True)]
)
def test_2n_steps_equal_n_steps_and_a_restart_and_n_steps(
    make_spec, make_reals, tmp_path, method, d_steps, conditional
):
    """The networks and their averages, the controller's p and what it has seen, the log, the pictures."""
    hyper = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "mirror": True, "d_steps": d_steps}
    # A controller that is cut in the middle of its interval and moves far in a few steps.
    plugins = method_plugins(method, {"ada": {"tune_kimg": 0.1, "interval": 3}})
    spec = make_spec(method, hyper=hyper, plugins=plugins, conditional=conditional, total_kimg=0.256)
    whole, cut = (make_reals(mirror=True, conditional=conditional) for _ in range(2))
    run(spec, whole, tmp_path / "whole")
    calls = iter(range(100))
    first = run(spec, cut, tmp_path / "cut", stop=lambda: next(calls) >= 5, checkpoint_seconds=1e9)
    assert first.status == "interrupted" and first.cur_nimg == 40 * d_steps
    assert run(spec, cut, tmp_path / "cut").status == "done"
    assert left_behind(tmp_path / "cut") == left_behind(tmp_path / "whole")


def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not(make_spec, make_reals, tmp_path):
    for folder, seed in (("first", 0), ("second", 0), ("other", 1)):
        run(make_spec("ada", seed=seed, total_kimg=0.064), make_reals(), tmp_path / folder, checkpoint_seconds=1e9)
    first, second, other = (left_behind(tmp_path / folder) for folder in ("first", "second", "other"))
    assert first == second
    snapshot = "snapshots/000000.064.safetensors"
    assert first[snapshot] != other[snapshot]


def start(spec, prepared, run_dir: Path, **options) -> subprocess.Popen:
    run_dir.mkdir(exist_ok=True)
    (run_dir / "spec.json").write_text(spec.to_json())
    command_line = [sys.executable, "-m", "leangan", "train", "--spec", run_dir / "spec.json", "--data", prepared[0]]
    command_line += ["--subset", prepared[1], "--run-dir", run_dir, "--device", "cpu", "--tick-kimg", "0.064"]
    command_line += ["--checkpoint-seconds", "0.1"]
    return subprocess.Popen(list(map(str, command_line)), cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, process: subprocess.Popen, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.01)


def test_kill_9_at_a_random_moment_changes_nothing(make_spec, prepared, tmp_path):
    spec = make_spec("ada", total_kimg=0.4, snapshot_kimg=0.1)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    reference = start(spec, prepared, undisturbed)
    delay = random.uniform(0, 0.5)
    first = start(spec, prepared, killed)
    wait_for(lambda: list(killed.glob("ckpt/*.pt")), first)
    time.sleep(delay)
    first.kill()
    first.wait()
    second = start(spec, prepared, killed)
    assert second.wait(120) == 0, second.stderr.read()
    assert reference.wait(120) == 0, reference.stderr.read()
    assert left_behind(killed) == left_behind(undisturbed)
    assert not list(killed.rglob("*.tmp")) and json.loads((killed / "train.json").read_text())["status"] == "done"


def test_sigterm_leaves_a_checkpoint_and_says_how_to_continue(make_spec, prepared, tmp_path):
    process = start(make_spec(total_kimg=100), prepared, tmp_path / "run")
    wait_for(lambda: list((tmp_path / "run").glob("ckpt/*.pt")), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert "the same command continues it" in process.stderr.read()
    assert not (tmp_path / "run" / "train.json").exists()


def test_a_second_writer_waits_for_the_first_and_a_dead_one_blocks_nobody(make_spec, prepared, tmp_path):
    run_dir = tmp_path / "run"
    first = start(make_spec(total_kimg=1000), prepared, run_dir)
    wait_for(lambda: list(run_dir.glob("ckpt/*.pt")), first)
    second = start(make_spec(total_kimg=1000), prepared, run_dir)
    assert f"process {first.pid}; waiting" in second.stderr.readline()
    first.kill()
    first.wait()
    wait_for(lambda: (run_dir / ".owner").read_text() == str(second.pid), second)
    second.kill()
    second.wait()


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, caplog, damage):
    for nimg in (8, 16, 24):
        checkpoint.save(tmp_path, {"cur_nimg": nimg, "w": torch.full((64,), float(nimg))})
    assert len(list(tmp_path.glob("*.pt"))) == 2
    newest = max(tmp_path.glob("*.pt"))
    content = bytearray(newest.read_bytes())
    if damage == "truncate":
        content = content[:-100]
    else:
        content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    state = checkpoint.load_latest(tmp_path, torch.device("cpu"))
    assert state["cur_nimg"] == 16 and torch.equal(state["w"], torch.full((64,), 16.0))
    assert "damaged" in caplog.text and newest.name in caplog.text


def test_damaged_checkpoints_never_crowd_out_those_that_follow(tmp_path):
    """A run whose checkpoints are all damaged starts anew, and what it saves has a lower position than theirs."""
    for nimg in (16, 24):
        checkpoint.save(tmp_path, {"cur_nimg": nimg})
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"")
    assert checkpoint.load_latest(tmp_path, torch.device("cpu")) is None
    for nimg in (4, 8, 12):
        checkpoint.save(tmp_path, {"cur_nimg": nimg})
        assert checkpoint.load_latest(tmp_path, torch.device("cpu"))["cur_nimg"] == nimg
    assert [int(path.name[:12]) for path in sorted(tmp_path.glob("*.pt"))] == [8, 12]


def test_a_diverged_run_says_when_and_no_snapshot_of_it_counts(make_spec, prepared, tmp_path):
    spec = make_spec(hyper={"lr_d": 1e30, "lr_g": 1e30})
    (tmp_path / "spec.json").write_text(spec.to_json())
    arguments = ["--spec", tmp_path / "spec.json", "--data", prepared[0], "--subset", prepared[1]]
    arguments += ["--run-dir", tmp_path, "--device", "cpu", "--tick-kimg", "0.032"]
    assert command.main(list(map(str, arguments))) == 0
    result = json.loads((tmp_path / "train.json").read_text())
    assert result["status"] == "diverged" and "not finite between" in result["reason"]
    assert result["snapshots"] == []


def test_a_method_that_raises_in_the_middle_is_a_status_with_file_and_line(make_spec, prepared, tmp_path, monkeypatch):
    spec = make_spec()
    original = loop.Trainer.d_step

    def raising(self, cur_nimg, iteration):
        if cur_nimg >= 32:
            raise RuntimeError("shapes do not match")
        original(self, cur_nimg, iteration)

    monkeypatch.setattr(loop.Trainer, "d_step", raising)
    (tmp_path / "spec.json").write_text(spec.to_json())
    arguments = ["--spec", tmp_path / "spec.json", "--data", prepared[0], "--subset", prepared[1]]
    assert command.main([*map(str, arguments), "--run-dir", str(tmp_path), "--device", "cpu"]) == 0
    result = json.loads((tmp_path / "train.json").read_text())
    assert result["status"] == "error"
    assert result["reason"].startswith("RuntimeError: shapes do not match (test_resume.py, line ")
