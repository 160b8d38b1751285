"""What a job becomes: its command, threads and memory settings, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from leangan.core.project import ROOT
from leangan.launching.launch import KEEP_MEMORY, command

SHOW = """
import os, sys
facts = [sys.executable, *sys.argv[1:], os.environ["GLIBC_TUNABLES"], os.environ.get("RANK")]
with open(f"shown{os.environ.get('RANK', '')}", "w") as file:
    file.write(repr(facts))
"""

STOPPABLE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped in order"))
print("ready", flush=True)
time.sleep(60)
"""

WAITING = """
import time
print("ready", flush=True)
time.sleep(60)
"""


def test_one_rank_is_a_plain_process():
    expected = [sys.executable, "-m", "leangan", "train", "--spec", "a b.json", "--threads", "3"]
    assert command("leangan", ["train", "--spec", "a b.json"], ranks=1, threads=3) == expected


@pytest.mark.parametrize("ranks, threads, each", [(2, 8, "4"), (2, 3, "1"), (4, 2, "1")])
def test_several_ranks_share_the_threads_under_torchrun(ranks, threads, each):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    job = ["-m", "leangan", "measure", "--run-dir", "r", "--threads", each]
    assert command("leangan", ["measure", "--run-dir", "r"], ranks, threads) == torchrun + job


def test_the_job_has_its_arguments_as_they_were_given_and_the_memory_settings(launch, tmp_path):
    """Among them the launcher's own options, an empty one and one that looks like an abbreviation."""
    arguments = ["--places", "9", "--run", "", "--thr=5", "a b", "--", "-x"]
    job = launch(["--places", 0, "--ranks", 1, "--threads", 4, "job", *arguments], SHOW)
    assert job.wait(60) == 0, job.stderr.read()
    shown = [sys.executable, *arguments, "--threads", "4", KEEP_MEMORY["GLIBC_TUNABLES"], None]
    assert (tmp_path / "shown").read_text() == repr(shown)


def test_two_ranks_are_two_processes(launch, tmp_path):
    job = launch(["--ranks", 2, "--threads", 5, "job", "--run-dir", "r"], SHOW)
    assert job.wait(120) == 0, job.stderr.read()
    for rank in "01":
        shown = [sys.executable, "--run-dir", "r", "--threads", "2", KEEP_MEMORY["GLIBC_TUNABLES"], rank]
        assert (tmp_path / f"shown{rank}").read_text() == repr(shown)


def test_sigterm_reaches_the_job(launch):
    job = launch(["job"], STOPPABLE)
    assert job.stdout.readline() == "ready\n"
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == 1 and job.stderr.read() == "stopped in order\n"


def test_sigterm_that_the_shell_ignores_ends_a_job_that_does_not_answer_it(launch):
    job = launch(["job"], WAITING, before="trap '' TERM")
    assert job.stdout.readline() == "ready\n"
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == -signal.SIGTERM


def test_sigterm_ends_a_job_that_waits_for_gpus(launch, start):
    start(2, "0,1,2").stdout.readline()
    waiting = launch(["--places", 2, "job"], visible="0,1,2", before="trap '' TERM")
    assert "waiting for 2 of the GPUs 0, 1, 2" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize(
    "options, words",
    [
        (["leangan.metrics.measure"], "leangan.metrics.measure is no program; give the command"),
        (["measure"], "there is no module 'measure' to run; commands of leangan are named with it"),
        (["leangna", "measure"], "there is no module 'leangna'"),
        ([".measure"], "there is no module '.measure'"),
        (["--ranks", 0, "job"], "--ranks is 0, must be at least 1"),
        (["--threads", 0, "job"], "--threads is 0, must be at least 1"),
        (["--places", -1, "job"], "--places is -1, must be at least 0"),
    ],
)
def test_errors_are_one_line(launch, options, words):
    job = launch(options, SHOW)
    assert job.wait(30) == 1
    (line,) = job.stderr.read().splitlines()
    assert line.startswith("error: ") and words in line


def test_a_lock_that_cannot_be_made_is_one_line(launch, tmp_path):
    (tmp_path / f"leangan-{os.getuid()}-gpu-0.lock").mkdir()
    job = launch(["--places", 1, "job"], SHOW, "0,1")
    assert job.wait(30) == 1
    (line,) = job.stderr.read().splitlines()
    assert line.startswith("error: ") and "gpu-0.lock" in line


def test_torch_is_not_imported():
    code = (
        "import sys, leangan.launching.launch as launch\n"
        "launch.check_module('leangan')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_torchrun_leaves_the_options_of_the_rules_to_the_jobs():
    """It takes any unambiguous beginning of its own options for them, wherever it stands: --run is --run-path."""
    from torch.distributed.run import get_args_parser

    rules = "".join((ROOT / f"workflow/rules/{name}.smk").read_text() for name in ("common", "train", "evaluate"))
    options = sorted(set(re.findall(r"(?<= )--[a-z-]+", rules)) - {"--places", "--runs-per-gpu", "--ranks"})
    assert {"--run-id", "--run-dir", "--config", "--keep", "--protocol", "--out", "--threads"} <= set(options)
    arguments = [word for option in options for word in (option, "value")]
    known = command("leangan", ["train", *arguments], ranks=2, threads=2)[3:]
    assert get_args_parser().parse_args(known).training_script_args[1 : len(arguments) + 1] == arguments
