"""The whole workflow at smoke scale, in a copy of the project, as a user runs it.

The copy, the images, the methods and the folder for temporary files have the names of tests/helpers/odd_place.py, and
there is no home folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from leangan.core.project import ROOT
from leangan.runs.config import configured
from leangan.runs.grid import expand
from tests.helpers import changes, odd_place

OWN_SET = changes.own_set()
SMOKE = ("scale=smoke", *OWN_SET, "images=[24]")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the tracked tree with a folder of 48 images of its own."""
    folder = tmp_path_factory.mktemp("project") / odd_place.CHECKOUT
    ignored = shutil.ignore_patterns(
        ".venv", ".git", ".snakemake", "__pycache__", "resources", "demo", "smoke", "hours", ".*_cache"
    )
    shutil.copytree(ROOT, folder, ignore=ignored)
    rng = np.random.default_rng(0)
    odd_place.link_environment(folder)
    (folder / odd_place.TEMPORARY).mkdir()
    images = folder / odd_place.IMAGES / "all"
    images.mkdir(parents=True)
    for i in range(48):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        # Uncompressed, all files have one size.
        coarse.resize((16, 16), Image.Resampling.BICUBIC).save(images / f"{i:02d}.png", compress_level=0)
    return folder


def snakemake(project: Path, *arguments: str, config: tuple[str, ...] = SMOKE):
    return run(project, *odd_place.engine(project), "--cores", "2", *arguments, "--config", *config)


def run(project: Path, *command: str) -> subprocess.CompletedProcess:
    """A command in the project, as on a machine where nobody is at home."""
    return subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=400)


def environment(project: Path) -> dict[str, str]:
    odd = {"HOME": odd_place.NO_HOME, "TMPDIR": str(project / odd_place.TEMPORARY)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200", **odd}


def said(process: subprocess.CompletedProcess) -> str:
    return process.stdout + process.stderr


def jobs(process: subprocess.CompletedProcess) -> dict[str, int]:
    """How many jobs of each rule a dry run has counted."""
    counts = re.findall(r"^ *([\w -]+?) +(\d+) *$", said(process), flags=re.MULTILINE)
    return {name: int(count) for name, count in counts}


@pytest.fixture(scope="module")
def finished(project) -> Path:
    """The project after `snakemake all`, interrupted once by kill -9 of the engine and every job, and continued."""
    first = subprocess.Popen(
        [*odd_place.engine(project), "--cores", "2", "all", "--config", *SMOKE],
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(project.glob("results/smoke/runs/*/*/train.jsonl")) and time.monotonic() < deadline:
        assert first.poll() is None, "the workflow ended before it was interrupted"
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (project / "results/smoke/page/index.html").exists()
    again = snakemake(project, "all")
    assert again.returncode == 0, said(again)
    return project


def rows(project: Path) -> list[dict]:
    files = [f for f in project.glob("results/smoke/rows/*/*/*.jsonl") if f.name != "train.jsonl"]
    return [json.loads(line) for file in sorted(files) for line in file.read_text().splitlines()]


def test_every_method_gives_rows_and_the_artefact_and_the_page_are_there(finished):
    measured = rows(finished)
    assert {row["method"] for row in measured} >= {"none", "diffaugment-tc", "da", "ada"}
    assert all(row["status"] == "done" and row["proxy"] and "fid" not in row["metric"] for row in measured)
    assert {row["kimg"] for row in measured} == {0.256, 0.512}
    results = finished / "results/smoke"
    for name in (
        "tables/demo-blobs.md",
        "tables/demo-blobs.csv",
        "tables/demo-blobs.tex",
        "results.csv",
        "page/index.html",
    ):
        assert (results / name).stat().st_size > 0
    for figure in ("curves", "d_outputs", "controller", "samples"):
        with Image.open(results / f"figures/demo-blobs/{figure}.png") as image:
            assert min(image.size) > 100
        assert "<svg" in (results / f"figures/demo-blobs/{figure}.svg").read_text()[:2000]
    table = (results / "tables/demo-blobs.md").read_text()
    assert "DiffAugment" in table and "ADA" in table and "proxy" in table.lower()
    assert not list(results.glob("runs/*/*/features-*")), "features are kept no longer than needed"


def test_a_second_call_does_nothing(finished):
    again = snakemake(finished, "all")
    assert again.returncode == 0 and "Nothing to be done" in said(again), said(again)


DOCUMENTED = changes.documented((ROOT / "docs/run-identity.md").read_text().split("## What you change")[1])


def test_every_line_of_the_table_of_changes_is_tried():
    assert set(DOCUMENTED) == {change for change, _ in changes.CHANGES}


@pytest.mark.parametrize("change, apply", changes.CHANGES, ids=[change for change, _ in changes.CHANGES])
def test_what_runs_again_is_what_the_documentation_says(finished, change, apply):
    with apply(finished) as config:
        jobs = jobs_of(finished, *config)
    assert jobs.keys() - {"all", "total"} == DOCUMENTED[change]
    if change in ("the code of a method", "another method"):
        assert jobs["train"] == jobs["measure"] == 1


def test_make_works_there(finished, tmp_path):
    """`make lint` with programs that do nothing: they have tests of their own."""
    page = finished / "results/page/index.html"
    process = run(finished, "make", "page", "ROWS=results/smoke/rows")
    assert process.returncode == 0 and "Baseline" in page.read_text(), said(process)
    for name in ("ruff", "python"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    process = run(finished, "make", "lint", f"BIN={tmp_path}")
    assert process.returncode == 0, said(process)
    linked = {path.name for path in (finished / ".venv/types/leangan").iterdir() if path.exists()}
    assert linked >= {"__init__.py", "core", "models", "augment"}


def test_a_second_call_at_the_same_time_waits_for_the_first_and_takes_what_that_has_made(finished):
    command = [*odd_place.engine(finished), "--cores", "2", "all", "--config", *SMOKE]
    tables = finished / "results/smoke/tables"
    with FileLock(finished / ".snakemake/leangan.lock"):
        tables.rename(tables.with_suffix(".later"))
        waiting = subprocess.Popen(command, cwd=finished, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in waiting.stdout:
            if "Another call works in this folder" in line:
                break
        assert waiting.poll() is None
        tables.with_suffix(".later").rename(tables)
    rest = waiting.stdout.read()
    assert waiting.wait() == 0 and "Nothing to be done" in rest


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def cloned(finished, tmp_path_factory) -> Path:
    """A clone of the project after `make keep`, with the rows as those of another scale, measured by a commit."""
    origin, clone = (tmp_path_factory.mktemp("version-control") / name for name in ("origin", "clone"))
    ignored = shutil.ignore_patterns("resources", "smoke", "page", ".snakemake", ".venv", odd_place.TEMPORARY, "my *")
    shutil.copytree(finished, origin, ignore=ignored)
    rows = shutil.copytree(finished / "results/smoke/rows", origin / "results/minutes/rows")
    for path in rows.glob("*/*/proxy.jsonl"):
        text = re.sub(r'"commit": [^,]+, ', f'"commit": "{40 * "a"}", ', path.read_text())
        path.write_text(re.sub(r'"dirty": [^,]+, ', '"dirty": false, ', text))
    command = [sys.executable, "-m", "leangan", "keep", "--scale", "minutes"]
    kept = subprocess.run(command, cwd=origin, capture_output=True, text=True)
    assert kept.returncode == 0, said(kept)
    git(origin, "init", "-q")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "rows")
    git(origin, "clone", "-q", str(origin), str(clone))
    odd_place.link_environment(clone)
    (clone / odd_place.TEMPORARY).mkdir()
    return clone


def test_a_clone_renders_every_scale_from_what_is_tracked_and_trains_nothing(finished, cloned):
    """Whichever scale is configured, without runs, prepared data and the pictures that are not tracked."""
    results = cloned / "results/minutes"
    runs = list(results.glob("rows/*/*"))
    assert len(runs) == 4
    for run in runs:
        assert {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()} == {
            *("spec.json", "train.jsonl", "proxy.jsonl", "samples/000000.512.webp"),
            *(str(path.relative_to(run)) for path in run.glob("samples/000000.256.webp")),  # if it was better
        }
    lengths = ("kimg=0.512", "snapshot_kimg=0.256")
    process = snakemake(cloned, "figures", config=(*OWN_SET, "images=[24]", *lengths))
    assert process.returncode == 0, said(process)
    assert (results / "tables/demo-blobs.csv").read_text() == (
        finished / "results/smoke/tables/demo-blobs.csv"
    ).read_text()
    for figure in ("curves", "d_outputs", "controller", "samples"):
        with Image.open(results / f"figures/demo-blobs/{figure}.png") as image:
            assert min(image.size) > 100
    for page in (results / "page", cloned / "results/page"):
        board = json.loads((page / "leaderboard.json").read_text())["rows"]
        assert sum(row["source"] == "measured" for row in board) == 4
        assert len(list(page.glob("samples/*/*/*.webp"))) == len(list(results.glob("rows/*/*/samples/*.webp"))) >= 4
    assert not (results / "runs").exists() and not (cloned / "resources/data").exists()
    assert git(cloned, "status", "--porcelain") == "", "what is rendered is not tracked"


METHOD = (
    '"""Mirrors what D sees."""\n\nfrom leangan.plugins.method import Method as Base\n\n\nclass Method(Base):\n'
    '    title = "Mine"\n\n    def transform(self, x, role):\n        return x.flip(3)\n'
)


def command_of(project: Path, method: str) -> str:
    """The command that the leaderboard prints beside the rows of a method."""
    board = json.loads((project / "results/smoke/page/leaderboard.json").read_text())["rows"]
    (command,) = {row["command"] for row in board if row["method"] == method and row["source"] == "measured"}
    return command


@pytest.fixture
def clone(finished):
    """The project as a clone of it with tracked rows: without runs, prepared data and the engine's records."""
    gone = [finished / "results/smoke/runs", finished / "resources", finished / ".snakemake"]
    for path in gone:
        path.rename(path.with_name(f"{path.name}.kept"))
    yield finished
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{path.name}.kept").rename(path)


def jobs_of(project: Path, *config: str) -> dict[str, int]:
    process = snakemake(project, "all", "-n", config=(*SMOKE, *config))
    assert process.returncode == 0, said(process)
    return jobs(process)


def test_rows_that_came_without_their_runs_are_taken_as_they_are(clone):
    assert not jobs_of(clone)
    (clone / "results/smoke/tables/demo-blobs.md").unlink()
    count = jobs_of(clone, "methods=[diffaugment-ct]")
    assert count["train"] == count["measure"] == 1 and count["render"] == 1
    # A missing spec.json is written again, and trains nothing.
    spec = next((clone / "results/smoke/rows").glob("*/*-none-*/spec.json"))
    with changes.file_as(spec, None):
        assert jobs_of(clone).keys() == {"spec", "render", "all", "total"} | {"collect", "page"}


def test_a_missing_spec_trains_nothing(finished):
    spec = next((finished / "results/smoke/rows").glob("*/*-none-*/spec.json"))
    with changes.file_as(spec, None), changes.edited("results/published/published.csv", ",9.59,", ",9.5,")(finished):
        assert not jobs_of(finished).keys() & {"train", "measure", "prepare"}


def test_a_run_that_no_artefact_has_is_named(finished):
    process = snakemake(finished, "results/smoke/rows/blobs-24/stylegan2-none-s7-12345678/proxy.jsonl", "-n")
    text = " ".join(said(process).split())
    assert process.returncode != 0
    assert "no artefact has the run blobs-24/stylegan2-none-s7-12345678 under this configuration" in text


def test_a_broken_method_harms_nobody(finished):
    """And each row's command makes that row again, for data and methods of one's own."""
    (finished / "augment/broken.py").write_text("import no_such_module\n\n\nclass Method:\n    pass\n")
    own = finished / odd_place.METHODS
    own.mkdir()
    (own / "mine.py").write_text(METHOD)
    config = (*SMOKE, "methods=[mine,broken]", *odd_place.config(method_folders=[odd_place.METHODS]))
    try:
        process = snakemake(finished, "all", config=config)
        assert process.returncode == 0, said(process)
        trained = [p.parent.name for p in finished.glob("results/smoke/runs/*/*/train.json")]
        assert sum("mine" in name for name in trained) == 1 and not any("broken" in name for name in trained)
        status = {row["method"]: (row["status"], row["reason"]) for row in rows(finished)}
        assert status["mine"] == ("done", None)
        assert status["broken"][0] == "error" and "no_such_module" in status["broken"][1]
        assert "Mine" in (finished / "results/smoke/page/index.html").read_text()
        assert "augment/broken.py failed to import" in (finished / "results/smoke/tables/demo-blobs.md").read_text()
        for title, name in (("Mine", "mine"), ("DiffAugment", "diffaugment")):
            (file,) = finished.glob(f"results/smoke/rows/*/*-{name}-*/proxy.jsonl")
            before = file.read_text()
            file.unlink()
            process = run(finished, *odd_place.engine(finished), *shlex.split(command_of(finished, title))[1:])
            assert process.returncode == 0 and file.read_text() == before, said(process)
    finally:
        shutil.rmtree(own)
        (finished / "augment/broken.py").unlink()
        shutil.rmtree(finished / "results/smoke/rows", ignore_errors=True)


@pytest.mark.parametrize(
    "config, words",
    [
        (("scale=dmo",), ["unknown scale 'dmo'", "'demo'"]),
        (("artefacts=[dem]",), ["unknown artefact 'dem'", "'demo'"]),
        (("methods=[difaugment]",), ["unknown method 'difaugment'", "'diffaugment'"]),
        (("devices=cpu",), ["unknown key 'devices'", "'device'"]),
    ],
)
def test_a_wrong_config_is_refused_in_words_before_anything_runs(project, config, words):
    process = snakemake(project, "all", config=config)
    assert process.returncode != 0
    text = " ".join(said(process).split())
    assert all(word in text for word in words), said(process)
    assert "Traceback" not in said(process)


def test_the_plan_names_runs_images_length_and_cost(project):
    process = snakemake(project, "plan", config=("scale=demo",))
    assert process.returncode == 0, said(process)
    text = said(process)
    assert "4 runs, 60 kimg: 0 trained, 0 begun, 4 to do" in text and "Disk when all is done: checkpoints" in text
    assert not (project / "results/demo/runs").exists()


def test_an_artefact_is_a_target_whether_or_not_it_is_configured_and_what_runs_start_from_is_trained(project):
    process = snakemake(project, "--dry-run", "methods-demo", config=("scale=smoke",))
    assert process.returncode == 0, said(process)
    count = jobs(process)
    # One run more than are measured: the one on 2,000 images that others start from.
    assert count["train"] == count["measure"] + 1 == count["spec"] and count["methods-demo"] == count["render"] == 1
    assert count["subset"] == 2 and "demo" not in count and "page" not in count


def test_sizes_that_the_set_does_not_have_are_rows_that_say_so_and_the_others_run(project):
    process = snakemake(project, "demo", "-n", config=("scale=smoke", *OWN_SET, "images=[24,49,all]"))
    assert process.returncode == 0, said(process)
    count = jobs(process)
    assert count["refuse"] == 4 and count["train"] == count["measure"] == 8, "four methods of each size"


def test_a_mistyped_path_is_one_line_before_anything_else(project):
    """Whatever is there already; targets that take no images go on."""
    mistyped = ("scale=smoke", "datasets={blobs: {path: benchmark, resolution: 8}}", "images=[24]")
    (project / "results/smoke/rows").mkdir(parents=True, exist_ok=True)
    process = snakemake(project, "all", config=mistyped)
    assert process.returncode != 0
    text = " ".join(said(process).split())
    assert f"blobs: no file or folder benchmark: {project} has no 'benchmark'. Did you mean 'benchmarks'" in text
    assert "Change datasets.blobs.path in config/config.yaml or --config." in text
    assert "InputFunctionException" not in text and "latency" not in text
    planned = snakemake(project, "plan", config=mistyped)
    assert planned.returncode == 0 and "missing: blobs: no file or folder benchmark" in said(planned)
    assert snakemake(project, "figures", "-n", config=mistyped).returncode == 0


def test_the_workflow_is_lint_clean(project):
    command = [sys.executable, "workflow/lint.py", "--config", "scale=smoke"]
    process = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert process.returncode == 0, said(process)


def test_an_artefact_with_the_name_of_a_rule_is_refused(project):
    artefact = project / "config/artefacts/train.yaml"
    artefact.write_text((project / "config/artefacts/demo.yaml").read_text())
    try:
        process = snakemake(project, "-n", config=("scale=smoke",))
    finally:
        artefact.unlink()
    assert process.returncode != 0 and "Traceback" not in said(process)
    assert "config/artefacts/train.yaml: 'train' is a rule of the workflow. Rename the file." in said(process)


def test_an_unknown_target_offers_the_nearest(project):
    process = snakemake(project, "demoo", config=("scale=smoke",))
    assert process.returncode != 0 and "Traceback" not in said(process)
    assert "unknown artefact 'demoo'. Did you mean 'demo' or 'demo-source'?" in said(process)


def test_a_broken_artefact_stops_only_who_asks_for_it(project):
    text = (project / "config/artefacts/first-minutes.yaml").read_text()
    with changes.file_as(project / "config/artefacts/broken.yaml", text.replace("none,", "nonne,").encode()):
        others = snakemake(project, "results/smoke/tables/first-minutes.md", "-n", config=("scale=smoke",))
        asked = snakemake(project, "broken", "-n", config=("scale=smoke",))
    assert others.returncode == 0 and jobs(others)["train"] == 4, said(others)
    assert "config/artefacts/broken.yaml is left out" in said(others)
    assert asked.returncode != 0 and "Traceback" not in said(asked)
    assert re.search(r"unknown method 'none'\..*Change it in .* of config/artefacts/broken.yaml", said(asked))


def test_a_single_job_finds_its_run_for_a_user_without_a_name(project, tmp_path):
    """As a cluster starts it, for an artefact that is not configured, in a container whose user is a mere number."""
    (tmp_path / "sitecustomize.py").write_text("import pwd\n\npwd.getpwuid = {}.__getitem__\n")
    run_id = expand("first-minutes", configured(scale="smoke"))[0].run_id
    unnamed = ["env", "-u", "USER", "-u", "LOGNAME", "-u", "LNAME", "-u", "USERNAME", f"PYTHONPATH={tmp_path}"]
    asked = ["--cores", "1", "-n", "--target-jobs", f"spec:run={run_id}", "--config", "scale=smoke"]
    process = run(project, *unnamed, *odd_place.engine(project), *asked)
    assert process.returncode == 0, said(process)
    assert jobs(process) == {"spec": 1, "total": 1}
