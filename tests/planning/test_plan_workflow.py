"""The target `paper` and several devices per run, as a user calls them, in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leangan.core.project import ROOT
from leangan.runs.cells import cells
from leangan.runs.config import configured

SNAKEMAKE = Path(sys.executable).with_name("snakemake")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plan") / "project"
    ignored = shutil.ignore_patterns(".*", "resources", "demo", "smoke", "hours", "day", "__pycache__", "tests")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def snakemake(project: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    command = [str(SNAKEMAKE), "--cores", "2", *arguments]
    process = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=900)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def jobs(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^ *([\w -]+?) +(\d+) *$", text, flags=re.MULTILINE)}


@pytest.mark.long
def test_both_papers_train_every_run_once(project):
    papers = [name for name in os.listdir(ROOT / "config/artefacts") if name.startswith(("ada-", "diffaugment-"))]
    members = cells(configured(scale="paper", artefacts=[name.removesuffix(".yaml") for name in papers]))
    count = jobs(snakemake(project, "--dry-run", "paper", "--config", "scale=paper"))
    assert count["train"] == len({cell.spec.run_id for each in members.values() for cell in each})
    assert count["render"] == len(members) and count["paper"] == 1


@pytest.mark.long
def test_two_devices_train_and_measure_each_run(project):
    options = ["scale=smoke", "device=cpu", "devices_per_run=2", "images=[24]"]
    snakemake(project, "all", "--config", *options)
    results = [json.loads(file.read_text()) for file in project.glob("results/smoke/runs/*/*/train.json")]
    assert [result["provenance"]["device"][:4] for result in results] == 4 * ["2 x "]
    assert (project / "results/smoke/tables/demo.md").exists()
    # With one device there is nothing left to train or to measure.
    count = jobs(snakemake(project, "--dry-run", "all", "--config", "scale=smoke", "device=cpu", "images=[24]"))
    assert not count.keys() & {"train", "reference features", "measure"}
