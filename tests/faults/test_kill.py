"""kill -9 at random instants of every long command: nothing lost, nothing half-written, the same result in the end."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.helpers import fault_commands as commands
from tests.helpers import fault_worker as worker
from tests.helpers.fault_commands import COMMANDS, left_by

KILLS_EACH = 20


def run_to_end(start, name: str, inputs: commands.Inputs, folder: Path) -> float:
    """Seconds of work, from the end of the imports."""
    process, began = begin(start, name, inputs, folder)
    assert ended(process, 300) == 0, (folder / "output").read_text()
    return time.monotonic() - began


def begin(start, name: str, inputs: commands.Inputs, folder: Path):
    """(process, the time at which its work began) of the command `name`, writing to `folder`/out."""
    (folder / "started").unlink(missing_ok=True)
    command, out = COMMANDS[name], folder / "out"
    process = start(command.name, command.options(inputs, out), folder)
    deadline = time.monotonic() + 120
    while not (folder / "started").exists():
        assert time.monotonic() < deadline, (folder / "output").read_text()
        time.sleep(0.002)
    return process, time.monotonic()


def ended(process, seconds: float) -> int | None:
    """The exit code, None where the process is still at work after `seconds`."""
    if hasattr(process, "join"):
        process.join(seconds)
        return process.exitcode
    try:
        return process.wait(seconds)
    except Exception:
        return None


def prepare_folder(name: str, inputs: commands.Inputs, folder: Path) -> Path:
    (folder / "out").mkdir(parents=True)
    COMMANDS[name].begin(inputs, folder / "out")
    return folder


def assert_nothing_half_written(out: Path, whole: dict) -> None:
    """Every file that has its name is complete; the log, which grows, is a beginning, but for a last line cut off."""
    log = out / "train.jsonl"
    if log.exists() and not log.read_bytes().endswith(b"\n"):
        log.write_bytes(log.read_bytes().rpartition(b"\n")[0] + b"\n")
    for name, content in left_by(out).items():
        expected = whole[name]
        assert content == (expected[: len(content)] if name == "train.jsonl" else expected), name


def soak(start, name: str, inputs: commands.Inputs, folder: Path, kills: int) -> dict:
    """Kill the command `kills` times, let it end each time; report what was seen."""
    reference = prepare_folder(name, inputs, folder / "undisturbed")
    seconds = run_to_end(start, name, inputs, reference)
    whole = left_by(reference / "out")
    assert whole
    seen = {"command": name, "undisturbed_seconds": round(seconds, 2), "kills": 0, "too_late": 0, "instants": []}
    rng = random.Random(name)
    round_number = 0
    while seen["kills"] < kills:
        disturbed = prepare_folder(name, inputs, folder / f"disturbed{round_number}")
        round_number += 1
        for _ in range(rng.randint(1, 3)):  # up to three in a row before it may end
            delay = rng.uniform(0, seconds)
            process, began = begin(start, name, inputs, disturbed)
            if ended(process, max(0.0, delay - (time.monotonic() - began))) is not None:
                seen["too_late"] += 1
                break
            worker.kill(process.pid, whole_session=rng.random() < 0.5)
            ended(process, 60)
            seen["kills"] += 1
            seen["instants"].append(round(delay / seconds, 2))
            assert_nothing_half_written(disturbed / "out", whole)
            if seen["kills"] == kills:
                break
        run_to_end(start, name, inputs, disturbed)
        assert left_by(disturbed / "out") == whole, f"killed at {seen['instants']} of {seconds} s"
    return seen


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_given_again_leaves_what_it_would_have_left(inputs, tmp_path, name):
    print(soak(worker.forked, name, inputs, tmp_path, kills=1))


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_hundred_kills(inputs, tmp_path, name):
    seen = soak(worker.spawned, name, inputs, tmp_path, KILLS_EACH)
    print(json.dumps(seen))
    assert seen["kills"] == KILLS_EACH
