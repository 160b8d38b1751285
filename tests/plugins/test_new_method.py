"""docs/add-a-method.md followed to the letter in a copy of the project: file, contract tests, run, row, page."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.plugins import new_method

GUIDE = (ROOT / "docs" / "add-a-method.md").read_text()
LEAVES = ("results/smoke", "resources")
"""Where runs leave their files."""

STEPS = """
import sys
from pathlib import Path

import pytest

from leangan.data import prepare, subset
from leangan.leaderboard import page
from leangan.metrics import compute, features
from leangan.results import collect
from leangan.runs.config import configured
from leangan.runs.grid import expand, refusal
from leangan.training import run

contract = ["tests/plugins/test_methods.py", "tests/plugins/test_arguments.py"]
assert pytest.main(["-p", "no:cacheprovider", *contract, "-k", "instance_noise or started_here or adaptive_noise"]) == 0
own = {"scale": "smoke", "methods": ["instance_noise"], "images": [24]}
own["datasets"] = {"procedural": {"path": "-", "resolution": 16}}
config = configured(**own)
(spec,) = [spec for spec in expand("demo", config) if spec.method == "instance_noise"]
assert refusal(spec) is None
images, chosen = "resources/procedural-16.npy", "resources/subset.json"
folder = Path("results/smoke/runs") / spec.run_id
rows = Path("results/smoke/rows") / spec.run_id / "proxy.jsonl"
Path("resources").mkdir()
folder.mkdir(parents=True)
rows.parent.mkdir(parents=True)
(folder / "spec.json").write_text(spec.to_json())
prepare.main(["--dataset", "procedural", "--resolution", "16", "--out", images])
subset.main(["--data", images, "--size", "24", "--seed", "0", "--out", chosen])
assert run.main(["--spec", str(folder / "spec.json"), "--data", images, "--subset", chosen, "--run-dir", str(folder),
                 "--device", "cpu", "--tick-kimg", "0.128"]) == 0
real, fake = "resources/real.safetensors", str(folder / "features-proxy.json")
features.main(["--extractor", "efficientnet_lite0", "--data", images, "--out", real, "--device", "cpu"])
features.main(["--protocol", "proxy", "--run-dir", str(folder), "--n-fake", "64", "--out", fake, "--device", "cpu"])
compute.main(["--protocol", "proxy", "--real", real, "--fake", fake, "--run-dir", str(folder), "--subset", chosen,
              "--out", str(rows)])
collect.main(["--rows", "results/smoke/rows", "--submitted", "results/submitted", "--out", "results/smoke/results.csv"])
page.main(["--results", "results/smoke/results.csv", "--published", "results/published/published.csv",
           "--rows", "results/smoke/rows", "--out", "results/smoke/page/index.html"])
"""
"""What the guide's Snakemake command does, without the other methods of the demo and in one process."""


def blocks(language: str) -> list[str]:
    """The blocks of the guide in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def contents(project: Path) -> dict[str, str]:
    """Digests of all files but what runs leave."""
    files = [file for file in project.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    named = {str(file.relative_to(project)): file for file in files}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in named.items()
        if not name.startswith(LEAVES)
    }


def call(project: Path, *arguments: str) -> str:
    """The output of Python in the project, which must succeed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)}
    process = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    return process.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[Path, dict[str, str], str]:
    """(a copy of the project where the guide was followed, its files before, what the commands said)."""
    project = tmp_path_factory.mktemp("project") / "leangan"
    ignored = shutil.ignore_patterns(
        ".venv", ".git", ".snakemake", "__pycache__", "resources", "demo", "smoke", "hours", ".*_cache"
    )
    shutil.copytree(ROOT, project, ignore=ignored)
    before = contents(project)
    said = call(project, "-m", "leangan", "new-method", "started_here")
    said += call(project, "-m", "leangan", "new-method", "instance_noise")
    for name, text in zip(["instance_noise", "adaptive_noise"], blocks("python"), strict=True):
        (project / f"augment/{name}.py").write_text(text)
    return project, before, said + call(project, "-c", STEPS)


def test_the_new_files_are_all_that_differs(followed):
    project, before, _ = followed
    after = contents(project)
    assert {name for name in after if after[name] != before.get(name)} == {
        "augment/adaptive_noise.py",
        "augment/instance_noise.py",
        "augment/started_here.py",
    }
    assert before.keys() <= after.keys()


def test_the_contract_tests_found_all(followed):
    passed = int(re.search(r"(\d+) passed", followed[2])[1])
    assert passed >= 3 * 12
    assert "augment/instance_noise.py is there" in followed[2]


def test_the_run_gives_rows_and_the_page_shows_the_method(followed):
    project = followed[0]
    (file,) = project.glob("results/smoke/rows/*/*instance_noise*/proxy.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["kimg"] for row in rows} == {0.256, 0.512}
    assert {(row["status"], row["method"], row["method_title"]) for row in rows} == {
        ("done", "instance_noise", "Instance noise")
    }
    page = (project / "results/smoke/page/index.html").read_text()
    assert re.search(r'<button class="open"[^>]*>Instance noise</button>', page)
    (log,) = project.glob("results/smoke/runs/*/*/train.jsonl")
    noise = [json.loads(line)["noise_std"] for line in log.read_text().splitlines()]
    # 0.1 (1 - n / 10^6) after n images; `observe` is told the images before its own batch.
    assert noise[-1] == pytest.approx(0.1 * (1 - 512 / 1e6), abs=2e-6) and sorted(noise, reverse=True) == noise


def test_what_else_the_guide_says_is_so():
    from leangan.plugins.check import HOOKS
    from leangan.plugins.method import Method

    code = blocks("python")[0]
    assert 25 <= len(code.splitlines()) <= 40
    stated = int(re.search(r"augment/instance_noise.py, line (\d+): transform", GUIDE)[1])
    assert "def transform" in code.splitlines()[stated - 1]
    table = set(re.findall(r"`(\w+)\(", GUIDE.split("| hook |")[1].split("\n\n")[0]))
    assert table <= set(HOOKS) and {"transform", "d_loss", "observe", "skip"} <= table
    assert all(hasattr(Method, name) for name in table)
    for parts in yaml.safe_load(blocks("yaml")[0]).values():
        assert [next(iter(part)) if isinstance(part, dict) else part for part in parts][-1] == "instance_noise"
    assert "\nnew-method:" in (ROOT / "Makefile").read_text() and "make new-method NAME=" in GUIDE


@pytest.mark.parametrize(
    "name, words",
    [
        ("", "cannot be a method's name"),
        ("My-Method", "lower-case letters, digits and _"),
        ("../models/x", "cannot be"),
        ("lambda", "cannot be"),
        ("ada", "'ada' is taken"),
        ("pipeline", "'pipeline' is taken"),
        ("diffaugment", "is taken"),
    ],
)
def test_a_name_that_cannot_be_or_is_taken_is_refused_and_nothing_written(name, words):
    before = sorted((ROOT / "augment").iterdir())
    with pytest.raises(ConfigError, match=words):
        new_method.new_method(name)
    assert sorted((ROOT / "augment").iterdir()) == before
