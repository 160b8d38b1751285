"""A session on a card: blocks under time limits, of which none stops the next, and what is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import block as blocks_module
from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Result, Skipped, run
from benchmarks.gpu.blocks import names
from benchmarks.gpu.trainings import Options, options_of, trainings
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT

OPTIONS = Options("cuda", "minutes", "first-minutes", ["images=[500]"], 4, None, "first-minutes")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def block(name: str, code: str, seconds: float | None = 20) -> Block:
    return Block(name, f"What does {name} do?", seconds, lambda folder, seconds: python(code))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_block_leaves_what_it_printed(tmp_path):
    result = run(block("hello", "print('hello'); import sys; print('there', file=sys.stderr)"), tmp_path, 20, tmp_path)
    assert (result.status, result.detail) == ("done", "")
    text = (tmp_path / "hello.log").read_text().splitlines()
    assert text[0].startswith("$ ") and sorted(text[-2:]) == ["hello", "there"]


def test_a_block_that_fails_says_where_to_look(tmp_path):
    result = run(block("broken", "raise SystemExit(3)"), tmp_path, 20, tmp_path)
    assert (result.status, result.detail) == ("failed", "exit status 3, see broken.log")


def test_a_block_that_takes_too_long_ends_with_all_its_children(tmp_path, monkeypatch):
    """The child ignores SIGTERM, as the shell around a training does."""
    monkeypatch.setattr(blocks_module, "GRACE_SECONDS", 1)
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child = ignoring + "print('ready', flush=True); time.sleep(600)"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    result = run(block("slow", code), tmp_path, 3, tmp_path)
    assert (result.status, result.detail) == ("overran", "its limit")
    assert not alive(int((tmp_path / "child").read_text()))


def test_none_stops_the_next_and_the_table_has_them_all(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "GRACE_SECONDS", 1)
    table = "print('torch 9, a card'); print('| a |'); print('| --- |'); print('| 1 |')"
    members = [
        block("overruns", "import time; time.sleep(60)", seconds=1),
        block("fails", "raise RuntimeError('no kernel image')"),
        Block("skipped", "Is there time?", 30, trainings(OPTIONS)),
        Block("mistaken", "Is it right?", 30, lambda folder, seconds: [][0]),
        block("works", table),
        block("breaks", table + "; raise MemoryError('the device is full')"),
        block("not-asked-for", "raise SystemExit(1)"),
    ]
    monkeypatch.setattr(command, "blocks", lambda options: members)
    asked = ["overruns", "fails", "skipped", "mistaken", "works", "breaks"]
    results = command.session(3.0, asked, OPTIONS, tmp_path)
    assert [result.status for result in results] == ["overran", "failed", "skipped", "failed", "done", "failed"]
    text = (tmp_path / "summary.md").read_text()
    assert "| fails | What does fails do? | failed: exit status 1, see fails.log |" in text
    assert "RuntimeError: no kernel image" in text
    assert "| mistaken | Is it right? | failed: IndexError: list index out of range |" in text
    assert "## works: What does works do?\n\ntorch 9, a card\n\n| a |\n| --- |\n| 1 |\n" in text
    assert "MemoryError: the device is full" in text


def test_blocks_that_do_not_fit_are_skipped_and_the_trainings_keep_their_part(tmp_path, monkeypatch):
    given = {}

    def tried(block, folder, seconds, cwd):
        given[block.name] = round(seconds)
        return Result(block.name, block.question, "done")

    members = [block("short", "", 60), block("long", "", 200), block("cut", "", 110), block("open", "", None)]
    monkeypatch.setattr(command, "blocks", lambda options: members)
    monkeypatch.setattr(command, "run", tried)
    left = 300 - command.ENDING_SECONDS
    asked = [member.name for member in members]
    statuses = [result.status for result in command.session(5.0, asked, OPTIONS, tmp_path)]
    assert statuses == ["done", "done", "done", "done"]
    assert given == {"short": 60, "long": left - 90, "cut": 110, "open": left}
    given.clear()
    assert [result.status for result in command.session(3.0, asked, OPTIONS, tmp_path)] == [
        "done", "skipped", "done", "done"
    ]  # fmt: skip
    assert given == {"short": 60, "cut": 96, "open": 150}


@pytest.mark.parametrize("ways", [[signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT, signal.SIGINT]])
def test_an_interrupted_session_leaves_table_and_archive(tmp_path, ways):
    """In the middle of a block: by `timeout` or a scheduler, by a lost connection, by Ctrl-C pressed twice."""
    (tmp_path / "long.py").write_text(
        "import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(99)"
    )
    code = f"""
import sys
from benchmarks.gpu import __main__ as command
from benchmarks.gpu.block import Block
def block(name, *arguments):
    return Block(name, "?", 60, lambda folder, seconds: [sys.executable, *arguments])
command.names = lambda device: ["quick", "long", "never"]
command.blocks = lambda options: [
    block("quick", "-c", "print(1)"),
    block("long", "{tmp_path}/long.py", "{tmp_path}/pid"),
    block("never", "-c", "print(2)"),
]
sys.exit(command.main(["--device", "cpu", "--minutes", "2", "--out", "{tmp_path}"]))
"""
    process = subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("long"):
            break
    while not (tmp_path / "pid").exists():
        time.sleep(0.05)
    for way in ways:
        process.send_signal(way)
        time.sleep(0.1)
    assert process.wait(30) == 1
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        (summary,) = [name for name in file.getnames() if name.endswith("summary.md")]
        text = file.extractfile(summary).read().decode()
    assert "| quick | ? | done |" in text and "| long | ? | stopped: interrupted |" in text and "never" not in text
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    "rate, seconds, expected",
    [
        (4000, length.AROUND_SECONDS + 100, 50),  # 0.7 * 1000 images/s each for 100 s: 70 kimg
        (4000, length.AROUND_SECONDS + 200, 100),
        (400, length.AROUND_SECONDS + 143, 10),  # 10.01
        (400, length.AROUND_SECONDS + 142, None),
        (1e9, 1e6, length.STEPS[-1]),
    ],
)
def test_the_length_is_the_longest_that_the_measured_rate_reaches(rate, seconds, expected):
    assert length.kimg(rate, seconds, 4) == expected


def test_trainings_take_the_rate_that_was_measured(tmp_path):
    with pytest.raises(Skipped, match="150 s do not suffice for 4 runs of 10 kimg at any rate"):
        trainings(OPTIONS)(tmp_path, 150)
    assert "kimg=10" in trainings(OPTIONS)(tmp_path, 300)
    speed = [{"preset": "cifar", "images_per_s": 9e9}, {"preset": length.PRESET, "images_per_s": 900.0}]
    (tmp_path / "speed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in speed))
    assert "kimg=25" in trainings(OPTIONS)(tmp_path, 300)  # as below
    (tmp_path / "sharing.jsonl").write_text(json.dumps({"runs": 1, "rates": [900.0]}) + "\n")
    assert "kimg=25" in trainings(OPTIONS)(tmp_path, 300)  # 0.7 * 225 images/s each for 200 s
    lines = [{"runs": 1, "rates": [900.0]}, {"runs": 4, "rates": [1000.0] * 4}]
    (tmp_path / "sharing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(Skipped, match="90 s do not suffice for 4 runs of 10 kimg at 4000 images/s"):
        trainings(OPTIONS)(tmp_path, 90)
    line = trainings(OPTIONS)(tmp_path, length.AROUND_SECONDS + 200)
    asked = ["kimg=100", "snapshot_kimg=25", "runs_per_gpu=4", "images=[500]"]
    assert line[-4:] == asked and 'artefacts=["first-minutes"]' in line
    eight = replace(OPTIONS, runs=8)
    assert "kimg=50" in trainings(eight)(tmp_path, length.AROUND_SECONDS + 200)


def test_a_length_that_is_given_is_taken(tmp_path):
    options = options_of("cuda", ["kimg=30", "images=[200, 400]"])
    assert (options.runs, options.length) == (8, 30)
    assert trainings(options)(tmp_path, 10)[-5:] == [
        "kimg=30", "snapshot_kimg=7.5", "runs_per_gpu=4", "kimg=30", "images=[200, 400]"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given, words",
    [
        ("imges=[24]", "unknown key 'imges'. Did you mean 'images'"),
        ("images=24", "images = 24 must be a list"),
        ("kimg=abc", "kimg = 'abc' must be of type number or null"),
        ("images", "'images' in CONFIG (--config) is not KEY=VALUE"),
        ("scale=paper", "'scale=paper' in CONFIG (--config) is set by the session"),
        (
            "datasets={mine: {path: /no/such.zip, resolution: 32}}",
            "no file or folder /no/such.zip.*datasets.mine.path",
        ),
        ("images=[", "'images=[' in CONFIG (--config) is not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_refused_before_the_first_block(given, words):
    with pytest.raises(ConfigError, match=words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")):
        options_of("cuda", [given])


def test_unknown_blocks_and_times_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown block 'test'. Did you mean 'tests'"):
        command.main(["--device", "cpu", "--blocks", "test", "--out", str(tmp_path)])
    for minutes in ("0", "0.5", "nan", "inf"):
        with pytest.raises(ConfigError, match="MINUTES .*must be a number above 0.5"):
            command.main(["--minutes", minutes, "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_card_the_error_says_why_and_what_to_try(tmp_path):
    with pytest.raises(ConfigError, match="torch sees no GPU. torch .*DEVICE=cpu tries the command"):
        command.main(["--out", str(tmp_path)])


def test_two_sessions_do_not_measure_each_others_load(tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(ConfigError, match="another session is at work"):
        command.main(["--device", "cpu", "--blocks", "speed", "--out", str(tmp_path)])


def test_both_devices_have_the_questions_that_matter():
    assert set(names("cpu")) <= set(names("cuda"))
    assert {
        "tests",
        "speed",
        "eager",
        "fused",
        "kernels",
        "speed-256",
        "profile",
        "sharing",
        "fid",
        "trainings",
    } <= set(names("cpu"))
