"""The examples of the guides, one addition of each kind in a copy of the project, seen in a table and on the page.

Each addition is one new file. Of the files that are there, only those of config/ change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.core.project import ROOT

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
CONFIG = ["scale=smoke", "artefacts=[additions]", "methods=[flips]"]

ARTEFACT = """
title: Star charts
grid: {dataset: [stars], resolution: [16], images: [24], preset: [tiny-dcgan], method: [none]}
protocol: thumbnails
validation_images: 8
layout: {metrics: [coverage, fd]}
figures: [bars]
"""


def example(guide: str, language: str, containing: str) -> str:
    """The one block of code in a guide that contains a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / guide).read_text(), flags=re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return block


def additions() -> dict[str, str]:
    """The new files and their texts."""
    return {
        "augment/flips.py": example("README.md", "python", "class Method"),
        "models/dcgan.py": example("docs/add-a-backbone.md", "python", "class Backbone"),
        "leangan/metrics/formulas/coverage.py": example("docs/metrics.md", "python", "class Metric"),
        "leangan/metrics/extractors/thumbnails.py": example("docs/metrics.md", "python", "class Extractor"),
        "leangan/data/readers/charts.py": example("docs/data.md", "python", "class Charts"),
        "leangan/artefacts/figures/bars.py": example("docs/adding.md", "python", "def draw"),
        "config/artefacts/additions.yaml": ARTEFACT,
    }


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of code and configuration in a project."""
    files = [
        path for top in ("augment", "models", "leangan", "config", "workflow") for path in (folder / top).rglob("*")
    ]
    kept = [path for path in [*files, folder / "Snakefile"] if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@pytest.fixture(scope="module")
def changed(tmp_path_factory) -> tuple[Path, dict[str, str], dict[str, str]]:
    """(the copy after the workflow has made the artefact, digests of its files before the additions and after)."""
    folder = tmp_path_factory.mktemp("project") / "leangan"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "resources", "demo", "smoke", "hours", "gpu", "tests", "docs")
    shutil.copytree(ROOT, folder, ignore=ignored)
    before = digests(folder)
    for name, text in additions().items():
        (folder / name).write_text(text)
    for name, entry in {
        "presets": example("docs/add-a-backbone.md", "yaml", "tiny-dcgan"),
        "protocols": example("docs/metrics.md", "yaml", "thumbnails"),
    }.items():
        path = folder / f"config/{name}.yaml"
        path.write_text(f"{path.read_text()}\n{entry}")
    source = folder / "resources/sources/stars"
    source.mkdir(parents=True)
    charts = np.random.default_rng(0).integers(0, 256, (3000, 4, 4, 3), dtype=np.uint8)
    np.save(source / "charts.npy", charts.repeat(4, 1).repeat(4, 2))
    command = [SNAKEMAKE, "--cores", "2", "all", "--config", *CONFIG]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert process.returncode == 0, process.stdout + process.stderr
    return folder, before, digests(folder)


def test_an_addition_is_one_new_file(changed):
    _, before, after = changed
    assert set(after) - set(before) == set(additions())
    edited = {name for name, digest in before.items() if after[name] != digest}
    assert edited == {"config/presets.yaml", "config/protocols.yaml"}


def test_all_of_them_stand_in_one_table(changed):
    table = (changed[0] / "results/smoke/tables/additions.md").read_text()
    for words in (
        "Random flips",
        "Coverage (8-px thumbnails) ↑",
        "FD (8-px thumbnails) ↓",
        "8-px thumbnails features at 8 px (mean)",
    ):
        assert words in table, table
    numbers = (changed[0] / "results/smoke/tables/additions.csv").read_text()
    assert "stars,16,24,dcgan,tiny-dcgan" in numbers and "coverage64_full_thumbnails" in numbers
    assert "skip" not in numbers and "error" not in numbers


def test_the_figure_is_drawn(changed):
    with Image.open(changed[0] / "results/smoke/figures/additions/bars.png") as image:
        assert min(image.size) > 100


def test_all_of_them_are_on_the_page(changed):
    page = (changed[0] / "results/smoke/page/index.html").read_text()
    for words in ("Random flips", "stars 16 px", "dcgan (tiny-dcgan)", "thumbnails"):
        assert words in page, words
    data = (changed[0] / "results/smoke/page/leaderboard.json").read_text()
    assert '"name": "coverage64_full_thumbnails"' in data and '"name": "fd64_full_thumbnails"' in data
