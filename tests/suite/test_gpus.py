"""Jobs side by side get GPUs of their own; a GPU is free again when its job has ended, even by kill -9."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = "import os, sys; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); sys.stdin.read()"


@pytest.fixture
def start(tmp_path):
    """A function (count, visible) -> a job that prints its GPUs and runs until its input is closed."""
    jobs = []

    def begin(count: int, visible: str | None) -> subprocess.Popen:
        environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        given = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        command = [sys.executable, "-m", "suite.gpus", str(count), sys.executable, "-c", REPORT]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment |= {"TMPDIR": str(tmp_path), **given}
        jobs.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.kill()
        job.communicate()


def test_jobs_side_by_side_have_different_gpus_and_wait_for_free_ones(start):
    first, second = start(2, "0,1,2,3,4"), start(2, "0,1,2,3,4")
    theirs = [set(job.stdout.readline().strip().split(",")) for job in (first, second)]
    assert len(theirs[0]) == len(theirs[1]) == 2 and not theirs[0] & theirs[1]
    third = start(2, "0,1,2,3,4")
    assert not select.select([third.stdout], [], [], 1.5)[0], "one GPU is free, it asked for two"
    first.kill()
    given = set(third.stdout.readline().strip().split(","))
    assert len(given) == 2 and not given & theirs[1]


@pytest.mark.parametrize("count, visible", [(1, "0"), (2, "4,7"), (0, "0,1"), (3, "0,1"), (0, None)])
def test_a_job_that_was_given_its_gpus_is_left_alone(start, count, visible):
    """By SLURM, say, whose jobs on one machine may all see their GPU as number 0."""
    jobs = [start(count, visible), start(count, visible)]
    assert {job.stdout.readline().strip() for job in jobs} == {str(visible)}
