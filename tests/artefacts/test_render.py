"""The commands as the workflow calls them."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from leangan.artefacts import render
from leangan.core.project import ROOT
from leangan.runs.config import artefact
from tests.helpers.synthetic import (
    CONFIG,
    KIMG,
    METHODS,
    SCALE,
    SEEDS,
    SPECS,
    distance,
    failed_row,
    row,
    with_figures,
    write_rows,
)

FD = "fd1k_full_efficientnet_lite0"


def arguments(results: Path, name: str = "demo") -> list[str]:
    return ["--artefacts", name, "--config", json.dumps(CONFIG.given()), "--results", str(results)]


def written(results: Path) -> dict[str, bytes]:
    folders = [results / "tables", *(results / "figures").iterdir()]
    return {str(path.relative_to(results)): path.read_bytes() for folder in folders for path in folder.iterdir()}


@pytest.fixture(scope="module")
def rendered(demo, tmp_path_factory) -> Path:
    """The results after one run of the command, which needs no table of all rows."""
    folder = shutil.copytree(demo, tmp_path_factory.mktemp("again") / SCALE)
    (folder / "results.csv").unlink()
    command = [sys.executable, "-m", "leangan", "render", *arguments(folder)]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    return folder


def test_every_table_and_figure_is_written_the_same_each_time(demo, rendered):
    render.main(arguments(demo))
    files = written(rendered)
    figures = artefact("demo").figures
    assert set(files) == {
        *(f"tables/demo.{kind}" for kind in ("md", "csv", "tex")),
        *(f"figures/demo/{figure}.{kind}" for figure in figures for kind in ("png", "svg", "pdf")),
    }
    assert files == written(demo)
    for name, content in files.items():
        if name.endswith(".svg"):
            assert b"<dc:date>" not in content
        if name.endswith(".pdf"):
            assert content.startswith(b"%PDF") and b"CreationDate" not in content
        if name.endswith(".png"):
            with Image.open(rendered / name) as picture:
                assert 900 < picture.width < 2200 and len(picture.convert("L").getcolors()) > 10


def test_rows_of_other_runs_change_nothing(rendered, tmp_path):
    """More rows beside those of the artefact, also of one of its methods: the files stay the same."""
    folder = shutil.copytree(rendered, tmp_path / SCALE)
    before = written(folder)
    write_rows(folder, [row("aaa", 0, "fd", 20.0, 1.0), row("ada", 9, "fd", 20.0, 1.0)])
    render.main(arguments(folder))
    assert written(folder) == before


def test_figures_that_an_artefact_no_longer_has_go(demo, tmp_path, monkeypatch):
    folder = tmp_path / SCALE
    write_rows(folder, [row("none", 0, "fd", 20.0, 50.0)])
    own = folder / "figures" / "demo"
    own.mkdir(parents=True)
    for name in ("old.png", "old.svg", "old.pdf", "curves.png", "notes.txt"):
        (own / name).write_text("before")
    monkeypatch.setattr(render, "artefact", with_figures("curves"))
    render.main(arguments(folder))
    assert {path.name for path in own.iterdir()} == {"curves.png", "curves.svg", "curves.pdf", "notes.txt"}
    assert (own / "curves.png").read_bytes() != b"before"
    monkeypatch.setattr(render, "artefact", with_figures())
    shutil.rmtree(own)
    render.main(arguments(folder))
    assert own.is_dir() and list(own.iterdir()) == []


def test_without_any_row_the_table_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "artefact", with_figures("curves"))
    with pytest.raises(ValueError, match="rows is missing. Run snakemake first"):
        render.main(arguments(tmp_path / SCALE))
    (tmp_path / SCALE / "rows").mkdir(parents=True)
    render.main(arguments(tmp_path / SCALE))
    text = (tmp_path / SCALE / "tables/demo.md").read_text()
    assert text.count("not yet run") == 8 * len(METHODS) and "No run has finished." in text


def test_the_page_needs_no_torch():
    code = "import sys, leangan.leaderboard.page, leangan.results.collect; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_tables_hold_mean_and_deviation_over_seeds(rendered):
    best = [min(distance("ada", seed, kimg) for kimg in KIMG) for seed in SEEDS]
    lines = list(csv.DictReader((rendered / "tables/demo.csv").open()))
    (line,) = (x for x in lines if x["method"] == "ada" and x["snapshot"] == "best" and x["metric"] == FD)
    assert float(line["mean"]) == pytest.approx(statistics.mean(best), rel=1e-12)
    assert float(line["std"]) == pytest.approx(statistics.stdev(best), rel=1e-12)
    assert line["n"] == line["planned"] == str(len(SEEDS)) and line["published"] == ""
    text = f"{statistics.mean(best):.2f} ± {statistics.stdev(best):.2f}"
    assert text in (rendered / "tables/demo.md").read_text()
    assert text.replace("±", r"$\pm$") in (rendered / "tables/demo.tex").read_text()


def test_a_figure_whose_log_is_missing_leaves_the_others(demo, tmp_path, monkeypatch):
    results = shutil.copytree(demo, tmp_path / SCALE, ignore=shutil.ignore_patterns("figures"))
    next((results / "rows").glob("*/*/train.jsonl")).unlink()
    monkeypatch.setattr(render, "artefact", with_figures("overfitting", "curves"))
    words = r"All other tables and figures are written.*demo/overfitting: .*train\.jsonl is missing"
    with pytest.raises(ValueError, match=words):
        render.main(arguments(results))
    assert [path.name for path in (results / "figures/demo").glob("*.png")] == ["curves.png"]


def test_where_no_run_has_finished_the_figures_say_so(tmp_path):
    """All runs diverged after their first values: the table gives the reasons, the figures one sentence."""
    runs = [(spec.method, spec.seed) for spec in SPECS]
    rows = [row(*run, "fd", 2.5, 9.0) for run in runs] + [failed_row(*run, "diverged", "loss_d is nan") for run in runs]
    write_rows(tmp_path, rows)
    render.main(arguments(tmp_path))
    assert "diverged: loss\\_d is nan" in (tmp_path / "tables/demo.md").read_text()
    assert "No run of this artefact has finished." in (tmp_path / "figures/demo/curves.svg").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["collect", "--rows", "{0}/rows", "--out", "{0}/r.csv"], "rows holds no rows"),
        (["render", "--artefacts", "dmo", "--results", "{0}"], "unknown artefact 'dmo'. Did you mean 'demo'?"),
        (
            ["page", "--results", "{0}/r.csv", "--published", "p", "--rows", "{0}", "--out", "x"],
            "r.csv is missing",
        ),
    ],
)
def test_a_mistake_of_the_user_is_one_line(tmp_path, command, message):
    command = [part.format(tmp_path) for part in command]
    process = subprocess.run([sys.executable, "-m", "leangan", *command], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.startswith("error: ") and message in process.stderr and process.stderr.count("\n") == 1
