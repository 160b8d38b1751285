"""The package as `pip install .` leaves it in an empty environment, used from a folder with a models/ and a data/.

Nothing of the checkout is on Python's path. Only the core is installed, so that this also shows what needs an extra.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.cli import COMMANDS
from leangan.core.project import ROOT

pytestmark = pytest.mark.long

UV = Path(sys.executable).with_name("uv")

METHOD = '''
import torch
from leangan.plugins import method
from leangan.plugins.method import Role


class Method(method.Method):
    """Mirrors every second image."""

    title = "Theirs"
    paper = "unpublished"

    def transform(self, x: torch.Tensor, role: Role) -> torch.Tensor:
        return torch.where(torch.arange(len(x))[:, None, None, None] % 2 == 0, x.flip(3), x)
'''

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "their-method"
version = "2.0"

[project.entry-points."leangan.methods"]
theirs = "their_method"

[tool.setuptools]
py-modules = ["their_method"]
"""

SPEC = """
from dataclasses import replace
from leangan.core.spec import SUBSET_DEFAULTS, RunSpec
from leangan.runs.methods import method_plugins, title_of
from leangan.runs.presets import preset_at

preset = preset_at("tiny", 16, "here", {"batch": 8, "fmap_base": 32, "fmap_max": 8})
plugins = method_plugins("theirs")
spec = RunSpec(
    dataset="mine", resolution=16, images=16, subset_seed=0, **SUBSET_DEFAULTS, conditional=False,
    backbone=preset.backbone, hyper=preset.hyper, plugins=plugins, seed=0, total_kimg=0.064, snapshot_kimg=0.064,
    tf32=False, parent=None, labels=preset.labels("theirs", title_of("theirs", plugins)),
)
print(spec.to_json())
"""


@dataclass(frozen=True)
class Installation:
    """An environment and a folder of the user's, from which everything is called."""

    wheel: Path
    environment: Path
    folder: Path

    def call(self, *command: object, code: int = 0) -> str:
        """The output of a program of the environment, which must end with `code`."""
        program, *arguments = map(str, command)
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
        done = subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.folder,
            env={**outside, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def uv(*arguments: object, cwd: Path) -> None:
    done = subprocess.run([UV, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installation:
    if not UV.exists():
        pytest.skip("uv is not installed in this environment, as make installs it")
    folder = tmp_path_factory.mktemp("installed")
    for name in ("augment", "config", "leangan", "models", "results/published", "workflow"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    sources = ["--wheel-dir", folder, folder / "source"]
    done = subprocess.run([*build, *sources], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(folder / "source")

    uv("venv", "--quiet", "--python", sys.executable, "environment", cwd=folder)
    python = folder / "environment/bin/python"
    # The versions of the lock are in uv's cache since make installed them.
    lock = ROOT / "requirements.lock"
    uv("pip", "install", "--quiet", "--python", python, "--constraint", lock, wheel, cwd=folder)
    theirs = folder / "their_method"
    theirs.mkdir()
    (theirs / "pyproject.toml").write_text(PYPROJECT)
    (theirs / "their_method.py").write_text(METHOD)
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", theirs, cwd=folder)

    own = folder / "project"
    for package in ("models", "data", "augment", "metrics"):
        (own / package).mkdir(parents=True)
        (own / package / "__init__.py").write_text("OWNER = 'the user'\n")
    (own / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(own / f"pictures/{number}.png")
    return Installation(wheel, folder / "environment", own)


def test_nothing_but_leangan_is_installed_at_top_level(installed):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(installed.wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"leangan"}


def test_the_users_own_packages_are_theirs_and_the_pipeline_works(installed):
    code = """
import augment, data, metrics, models, torch
from leangan.augment.pipeline import Pipeline
from leangan.models.stylegan2.generator import Generator
from leangan.training.loop import train
assert {each.OWNER for each in (augment, data, metrics, models)} == {"the user"}
x = torch.rand(4, 3, 16, 16) * 2 - 1
y = Pipeline("bgc")(x, p=0.8)
print(y.shape == x.shape, (y - x).abs().max() > 0.1, Pipeline("bgc")(x, p=0.0).equal(x))
"""
    assert installed.call("python", "-c", code).split() == ["True", "tensor(True)", "True"]


def test_the_help_lists_every_command_and_each_says_what_it_needs(installed):
    assert all(f"  {name} " in installed.call("leangan", "--help") for name in COMMANDS)
    for name in ("train", "prepare", "subset", "plan", "new-method", "networks", "released", "launch"):
        said = installed.call("leangan", name, "--help")
        assert all(part in said for part in ("reads:\n", "writes:\n", "exit codes:\n")), name
    features = ["--extractor", "efficientnet_lite0", "--data", "mine.npy", "--out", "x.safetensors", "--device", "cpu"]
    helped = [(name, "--help", "report") for name in ("page", "render", "pipeline")]
    for *command, extra in (*helped, ("features", *features, "metrics")):
        said = installed.call("leangan", *command, code=1)
        assert said.startswith("error: ") and f"pip install '.[{extra}]'" in said and said.count("\n") == 1


def test_what_needs_a_checkout_says_so(installed):
    said = installed.call("leangan", "new-method", "mine", code=1)
    assert said.startswith("error: leangan new-method needs a checkout of the project") and said.count("\n") == 1
    assert not (installed.folder / "augment/mine.py").exists()


def test_a_method_of_another_package_trains_on_the_users_pictures(installed):
    prepared = ["--dataset", "mine", "--path", "pictures", "--resolution", 16, "--jobs", 1, "--out", "mine.npy"]
    installed.call("leangan", "prepare", *prepared)
    installed.call("leangan", "subset", "--data", "mine.npy", "--size", 16, "--seed", 0, "--out", "subset.json")
    (installed.folder / "spec.json").write_text(installed.call("python", "-c", SPEC))
    files = ["--spec", "spec.json", "--data", "mine.npy", "--subset", "subset.json", "--run-dir", "run"]
    installed.call("leangan", "train", *files, "--device", "cpu")
    result = json.loads((installed.folder / "run/train.json").read_text())
    assert result["status"] == "done" and len(result["snapshots"]) == 1
    assert result["origin"]["homes"] == {"theirs": "package their-method 2.0"}
    assert result["provenance"]["commit"] is None, "the folder may be a checkout of something else"


def test_the_defaults_of_the_configuration_come_with_the_package(installed):
    said = json.loads(installed.call("leangan", "plan", "--json", "--config", "{artefacts: [first-minutes]}"))
    assert {run["artefact"] for run in said["runs"]} == {"first-minutes"}
    unknown = installed.call("leangan", "plan", "--config", "{scale: dmeo}", code=1)
    assert "unknown scale 'dmeo'. Did you mean 'demo'" in unknown
