"""One part of the session on a card: a command under a time limit, whose failure stops nothing."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 15
"""Time that a command has between SIGTERM, which lets a training run write its checkpoint, and SIGKILL."""

KILL_SECONDS = 5
"""Time that the system has to remove what was killed."""

Command = Callable[[Path, float], list[str]]
"""A command line, from what earlier blocks left in a folder and the seconds that it has; it may raise Skipped."""


class Skipped(Exception):
    """A block does not fit into the time that is left; the message says why."""


@dataclass(frozen=True)
class Block:
    """A command and the most `seconds` that it may take; None: all that is left, of which it gets its part first."""

    name: str
    question: str
    seconds: float | None
    command: Command


@dataclass(frozen=True)
class Result:
    """How a block ended: `status` is done, failed, overran, stopped or skipped; `detail` says why it is not done."""

    name: str
    question: str
    status: str
    detail: str = ""
    seconds: float = 0.0


def run(block: Block, folder: Path, seconds: float, cwd: Path) -> Result:
    """Run `block` for at most `seconds`; what it prints goes to `folder`/<name>.log as it comes.

    KeyboardInterrupt comes through after the command and all its children have ended.
    """
    start = time.monotonic()

    def ended(status: str, detail: str = "") -> Result:
        return Result(block.name, block.question, status, detail, time.monotonic() - start)

    try:
        command = block.command(folder, seconds)
    except Skipped as reason:
        return ended("skipped", str(reason))
    with open(folder / f"{block.name}.log", "w") as log:
        log.write(f"$ {shlex.join(command)}\n")
        log.flush()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=cwd, env=environment, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return ended("overran", "its limit")
        finally:
            end(process)
    return ended("done") if code == 0 else ended("failed", f"exit status {code}, see {block.name}.log")


INTERRUPTIONS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
"""Ctrl-C, a scheduler or `timeout`, a lost connection."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it, INTERRUPTIONS have no effect on this process."""
    before = {way: signal.signal(way, signal.SIG_IGN) for way in INTERRUPTIONS}
    try:
        yield
    finally:
        for way, handler in before.items():
            signal.signal(way, handler)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and everything it started in that session."""
    with uninterrupted():  # a second Ctrl-C would leave it running on the card
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for way, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        until = time.monotonic() + patience
        try:
            os.killpg(process.pid, way)
        except ProcessLookupError:
            return
        while time.monotonic() < until and (process.poll() is None or alive(process.pid)):
            time.sleep(0.05)


def alive(group: int) -> bool:
    """Whether a process of the group is there and no zombie, which only its parent can remove; False without /proc."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(own_group) == group and state not in "ZX":
            return True
    return False
