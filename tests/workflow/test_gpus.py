"""How the workflow counts GPUs, with an nvidia-smi that lists two, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from leangan.core.project import ROOT

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
DRY = ("--workflow-profile", "none", "--dry-run", "--printshellcmds")
TWO = "".join(f"GPU {number}: NVIDIA H100 80GB HBM3 (UUID: GPU-{digit})\n" for number, digit in enumerate("ab"))

# The rules of the project and six more jobs that it starts as it starts training: five on one GPU, one on two.
WITH_PROBES = """
include: "Snakefile"

rule probe:
    output: touch("probe-{number}")
    resources:
        ranks=1,
        gpu=lambda wildcards: places(2 if wildcards.number == "0" else 1),
    shell: f"{LAUNCH} probe"

rule probes:
    input: [f"probe-{number}" for number in range(6)]
"""

PROBE = """
import os, time

def note(change):
    with open("notes", "a") as file:
        file.write(f"{change}1 {os.environ['CUDA_VISIBLE_DEVICES']}\\n")
note("+")
deadline = time.monotonic() + 120
while open("notes").read().count("+") < 4 and time.monotonic() < deadline:  # all that there are places for
    time.sleep(0.05)
note("-")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gpus") / "project"
    ignored = shutil.ignore_patterns(".*", "resources", "demo", "smoke", "hours", "day", "__pycache__", "tests")
    shutil.copytree(ROOT, folder, ignore=ignored)
    (folder / "probes.smk").write_text(WITH_PROBES)
    (folder / "probe.py").write_text(PROBE)
    return folder


def snakemake(project: Path, listing: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    tool = project / "bin/nvidia-smi"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
    tool.chmod(0o755)
    settings = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    settings |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200", "TMPDIR": str(project)}
    settings |= {"PATH": f"{tool.parent}:{os.environ['PATH']}", **environment}
    command = [str(SNAKEMAKE), "--cores", "8", *arguments]
    return subprocess.run(command, cwd=project, env=settings, capture_output=True, text=True, timeout=300)


def test_as_many_runs_as_two_gpus_have_places(project):
    options = ["--resources", "gpu=2", "--config", "runs_per_gpu=2"]
    process = snakemake(project, TWO, "-s", "probes.smk", "probes", *options)
    assert process.returncode == 0, process.stdout + process.stderr
    running, most = Counter(), 0
    for line in (project / "notes").read_text().splitlines():
        change, devices = line.split()
        places = 2 if "," in devices else 1
        running.update({device: int(change) * places for device in devices.split(",")})
        assert max(running.values()) <= 2
        most = max(most, sum(running.values()))
    assert most == 4 and running.keys() == {"GPU-a", "GPU-b"}


def launched(project: Path, listing: str, *arguments: str, **environment: str) -> set[tuple[str, ...]]:
    """Device, places and runs per GPU in the commands of the jobs that a dry run lists."""
    process = snakemake(project, listing, *DRY, *arguments, **environment)
    assert process.returncode == 0, process.stdout + process.stderr
    commands = re.findall(r"leangan launch .*", process.stdout + process.stderr)
    return {
        re.search(r"--places (\d+) --runs-per-gpu (\d+) .*--device (\w+)", command).groups() for command in commands
    }


@pytest.mark.parametrize(
    "listing, environment, expected",
    [
        (TWO, {}, ("1", "1", "cuda")),
        (TWO, {"CUDA_VISIBLE_DEVICES": ""}, ("0", "1", "auto")),
        ("No devices were found\n", {"CUDA_VISIBLE_DEVICES": "0"}, ("0", "1", "auto")),
    ],
)
def test_auto_is_cuda_where_a_gpu_was_found(project, listing, environment, expected):
    assert launched(project, listing, "--config", "scale=smoke", **environment) == {expected}


@pytest.mark.parametrize(
    "options, expected",
    [
        (["devices_per_run=1"], ("1", "3", "cuda")),
        (["devices_per_run=2"], ("6", "3", "cuda")),
        (["devices_per_run=2", "--jobs", "9"], ("2", "1", "cuda")),
    ],
)
def test_runs_share_gpus_on_one_machine_and_not_on_a_cluster(project, options, expected):
    """One place of three, all places of two GPUs, or the two GPUs that a cluster is asked for."""
    config = ["--config", "scale=smoke", "device=cuda", "runs_per_gpu=3", *options]
    assert launched(project, "", "--resources", "gpu=2", *config) == {expected}
