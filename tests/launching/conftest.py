"""Jobs that the launcher starts, in a folder of their own, with the GPUs that a test says there are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leangan.core.project import ROOT

REPORT = """
import os, sys

print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


def put(path: Path, text: str) -> None:
    """Write an executable file at once: jobs that were started before may be reading it."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.chmod(0o755)
    beside.replace(path)


@pytest.fixture
def launch(tmp_path):
    """A function (options, module's text, CUDA_VISIBLE_DEVICES, what nvidia-smi lists) -> the job, which is started.

    A shell runs the commands `before` first.
    """
    jobs = []

    def begin(
        options: list, text: str = REPORT, visible: str | None = None, listing: str = "", before: str = ""
    ) -> subprocess.Popen:
        put(tmp_path / "job.py", text)
        put(tmp_path / "listing", listing)
        put(tmp_path / "bin/nvidia-smi", f'#!/bin/sh\n[ "$*" = --list-gpus ] && cat {tmp_path}/listing\n')
        environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        environment |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        line = [sys.executable, "-m", "leangan", "launch", *map(str, options)]
        if before:
            line = ["sh", "-c", f'{before}; exec "$@"', "sh", *line]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        jobs.append(subprocess.Popen(line, cwd=tmp_path, env=environment, **pipes))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.kill()
        job.communicate()


@pytest.fixture
def start(launch) -> Callable[..., subprocess.Popen]:
    """A function (places, visible, runs_per_gpu) -> a job that prints its GPUs and runs until its input is closed."""
    return lambda places, visible=None, runs_per_gpu=1, **more: launch(
        ["--places", places, "--runs-per-gpu", runs_per_gpu, "job"], REPORT, visible, **more
    )
