"""A session on a card: blocks under time limits, of which none stops the next, and what is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import block as blocks_module
from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Skipped, run
from benchmarks.gpu.blocks import Options, names, trainings
from suite.config import ROOT
from suite.errors import ConfigError

OPTIONS = Options("cuda", "minutes", "first-minutes", ["images=[500]"])


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def block(name: str, code: str, share: float = 1.0) -> Block:
    return Block(name, f"What does {name} do?", share, lambda folder, seconds: python(code))


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
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    result = run(block("slow", code), tmp_path, 3, tmp_path)
    assert (result.status, result.detail) == ("overran", "stopped after 3 s")
    assert time.monotonic() - start < 20
    assert not alive(int((tmp_path / "child").read_text()))


def test_none_stops_the_next_and_the_table_has_them_all(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "GRACE_SECONDS", 1)
    table = "print('torch 9, a card'); print('| a |'); print('| --- |'); print('| 1 |')"
    members = [
        block("overruns", "import time; time.sleep(60)", share=0.02),
        block("fails", "raise RuntimeError('no kernel image')"),
        Block("skipped", "Is there time?", 1.0, trainings(OPTIONS)),
        block("works", table),
        block("not-asked-for", "raise SystemExit(1)"),
    ]
    monkeypatch.setattr(command, "blocks", lambda options: members)
    results = command.session(1.0, ["overruns", "fails", "skipped", "works"], OPTIONS, tmp_path)
    assert [result.status for result in results] == ["overran", "failed", "skipped", "done"]
    text = (tmp_path / "summary.md").read_text()
    assert "| fails | What does fails do? | failed: exit status 1, see fails.log |" in text
    assert "RuntimeError: no kernel image" in text
    assert "## works: What does works do?\n\ntorch 9, a card\n\n| a |\n| --- |\n| 1 |" in text


def test_blocks_for_which_no_time_is_left_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "blocks", lambda options: [block("works", "pass")])
    (result,) = command.session(command.ENDING_SECONDS / 60, ["works"], OPTIONS, tmp_path)
    assert (result.status, result.detail) == ("skipped", "no time is left")


def test_an_interrupted_session_leaves_table_and_archive(tmp_path):
    """SIGTERM in the middle of a block, as `timeout` and schedulers send it."""
    code = (
        "import sys\n"
        "from benchmarks.gpu import __main__ as command\n"
        "from benchmarks.gpu.block import Block\n"
        "def block(name, code): return Block(name, '?', 1.0, lambda folder, seconds: [sys.executable, '-c', code])\n"
        "command.names = lambda device: ['quick', 'long', 'never']\n"
        "command.blocks = lambda options: [block('quick', 'print(1)'), block('long', "
        "'import time; time.sleep(99)'), block('never', '')]\n"
        f"sys.exit(command.main(['--device', 'cpu', '--minutes', '2', '--out', {str(tmp_path)!r}]))"
    )
    process = subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("long"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        (summary,) = [name for name in file.getnames() if name.endswith("summary.md")]
        text = file.extractfile(summary).read().decode()
    assert "| quick | ? | done |" in text and "| long | ? | stopped: interrupted |" in text and "never" not in text


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
    assert length.kimg(rate, seconds) == expected


def test_trainings_take_the_rate_that_was_measured(tmp_path):
    with pytest.raises(Skipped, match="`sharing` has not measured the rate of 4 runs"):
        trainings(OPTIONS)(tmp_path, 300)
    lines = [{"runs": 1, "rates": [900.0]}, {"runs": 4, "rates": [1000.0] * 4}]
    (tmp_path / "sharing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(Skipped, match="90 s are left"):
        trainings(OPTIONS)(tmp_path, 90)
    line = trainings(OPTIONS)(tmp_path, length.AROUND_SECONDS + 200)
    asked = ["kimg=100", "snapshot_kimg=25", "runs_per_gpu=4", "images=[500]"]
    assert line[-4:] == asked and 'artefacts=["first-minutes"]' in line


def test_unknown_blocks_and_times_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown block 'test'. Did you mean 'tests'"):
        command.main(["--device", "cpu", "--blocks", "test", "--out", str(tmp_path)])
    with pytest.raises(ConfigError, match="--minutes is 0, must be positive"):
        command.main(["--minutes", "0", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_both_devices_have_the_questions_that_matter():
    assert set(names("cpu")) <= set(names("cuda"))
    assert {"tests", "sharing", "speed", "profile", "fid", "trainings"} <= set(names("cpu"))
