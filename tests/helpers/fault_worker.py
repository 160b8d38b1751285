"""One of the suite's commands in a process that can be killed: it says when its imports are over and work begins."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from leangan import cli
from leangan.core.project import ROOT

# Processes that have everything imported from the start, for tests that need many.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch._dynamo",
        "leangan.training.run",
        "leangan.metrics.features",
        "leangan.data.prepare",
        "leangan.results.collect",
        "leangan.artefacts.render",
    ]
)


def work(command: str, options: list[str], folder: str) -> None:
    """`leangan <command> <options>` in a session of its own; `folder` gets `started` and the output."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    with open(Path(folder, "output"), "ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    importlib.import_module(cli.COMMANDS[command].module)
    Path(folder, "started").touch()
    cli.main([command, *options])


def forked(command: str, options: list[Any], folder: Path) -> multiprocessing.Process:
    """Start `work` in a process that has imported it already."""
    process = CONTEXT.Process(target=work, args=(command, [str(option) for option in options], str(folder)))
    process.start()
    return process


def spawned(command: str, options: list[Any], folder: Path, **kwargs: Any) -> subprocess.Popen:
    """Start `work` as a user does, as a process of its own."""
    words = [sys.executable, __file__, command, folder, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*map(str, words)], cwd=ROOT, env=environment, start_new_session=True, **kwargs)


def kill(pid: int, whole_session: bool) -> None:
    """SIGKILL, to the command alone or to the processes it started as well."""
    os.killpg(pid, signal.SIGKILL) if whole_session else os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[3:], sys.argv[2])
