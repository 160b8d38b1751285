"""Data sets in the workflow: what is missing is asked for before the first job, test splits are sets of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leangan.core.project import ROOT

ARTEFACT = """
title: Shown
grid: {{dataset: [{dataset}], resolution: [{px}], images: [{images}], preset: [{preset}], method: [none]}}
protocol: {protocol}
subset_rule: first
validation_images: 0
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the code with three artefacts and no data but the prepared array of MetFaces."""
    folder = tmp_path_factory.mktemp("project") / "leangan"
    for name in "augment config leangan models profiles workflow".split():
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "artefacts"))
    shutil.copytree(ROOT / "results/published", folder / "results/published")
    shutil.copy(ROOT / "Snakefile", folder)
    artefacts = folder / "config/artefacts"
    artefacts.mkdir()
    cifar = {"dataset": "cifar10", "px": 32, "images": 5000, "preset": "biggan-cifar-5000"}
    (artefacts / "cifar.yaml").write_text(ARTEFACT.format(**cifar, protocol="diffaugment-cifar"))
    ffhq = {"dataset": "ffhq", "px": 256, "images": 140000, "preset": "paper256"}
    (artefacts / "ffhq.yaml").write_text(ARTEFACT.format(**ffhq, protocol="ada"))
    metfaces = {"dataset": "metfaces", "px": 1024, "images": 1336, "preset": "paper1024"}
    (artefacts / "metfaces.yaml").write_text(ARTEFACT.format(**metfaces, protocol="ada"))
    (folder / "resources/data").mkdir(parents=True)
    for ending in ("npy", "json"):
        (folder / f"resources/data/metfaces-1024.{ending}").touch()
    return folder


def snakemake(project: Path, *arguments: str, given: tuple[str, ...] = ()) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "1", *arguments]
    config = ["--config", "scale=paper", "artefacts=[cifar,ffhq,metfaces]", "device=cpu", *given]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "400"}
    process = subprocess.run(
        command + config, cwd=project, env=environment, capture_output=True, text=True, timeout=200
    )
    return process.returncode, process.stdout + process.stderr


def test_a_dry_run_plans_downloads_and_test_splits_and_names_what_is_missing(project):
    code, said = snakemake(project, "cifar", "ffhq", "metfaces", "-n", "-p", "--workflow-profile", "none")
    assert code == 0, said
    assert "Only a dry run goes on without this: ffhq: nothing at resources/sources/ffhq" in said
    for command in (
        "leangan download --dataset cifar10 --out resources/sources/cifar-10-python.tar.gz",
        "leangan prepare --dataset cifar10 --resolution 32",
        "leangan prepare --dataset cifar10-test --resolution 32",
        "leangan subset --data resources/data/cifar10-32.npy --seed 0 --size 5000 --rule first --validation 0",
        "--data resources/data/ffhq-256.npy --seed 0 --size 140000 --rule first --validation 0 --mirrored",
        "resources/features/ffhq-256-full-inception_v3.safetensors",
    ):
        assert command in said, command
    features = "leangan features --data resources/data/cifar10-test-32.npy"
    reals = [line for line in said.splitlines() if features in line]
    assert len(reals) == 1 and " --test " in reals[0] and "-tf32" not in said
    assert "resources/features/cifar10-test-32-test-inception_v3.safetensors" in reals[0]
    assert said.count("leangan download --dataset") == 1
    # What is prepared already needs no source.
    assert "metfaces-1024-full" in said and "prepare --dataset metfaces" not in said and "metfaces: nothing" not in said


def test_features_of_reals_for_runs_with_tf32_are_files_of_their_own(project):
    tf32 = ("arithmetic={tf32: true, half: bfloat16}",)
    code, said = snakemake(project, "cifar", "metfaces", "-n", "-p", "--workflow-profile", "none", given=tf32)
    assert code == 0, said
    for name in ("cifar10-test-32-test-inception_v3", "metfaces-1024-full-inception_v3"):
        made = [line for line in said.splitlines() if f"--out resources/features/{name}-tf32.safetensors " in line]
        assert len(made) == 1 and " --tf32 " in made[0]
        assert f"--real resources/features/{name}-tf32.safetensors " in said


def test_a_missing_set_ends_the_workflow_before_its_first_job(project):
    code, said = snakemake(project, "ffhq", "cifar")
    assert code == 1
    assert "ffhq: nothing at resources/sources/ffhq or resources/sources/ffhq.zip. Needed: FFHQ from" in said
    assert "datasets={ffhq: {path: ...}}" in said
    assert not (project / "results/paper").exists() and not (project / "resources/sources").exists()
