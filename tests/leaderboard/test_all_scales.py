"""Every scale that has rows is rendered, whichever is configured and whatever is broken in another."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from leangan.artefacts import render
from leangan.core.errors import ConfigError
from leangan.leaderboard import all_scales
from leangan.runs.config import configured
from leangan.runs.grid import expand
from tests.helpers.synthetic import CONFIG, content_of, row, with_figures, with_title, write_rows, write_spec

FD = "fd1k_full_efficientnet_lite0"


def specs(scale: str):
    return [with_title(spec) for spec in expand("demo", configured(scale=scale))]


def write_scale(results: Path, scale: str, without: int = 0) -> None:
    """Rows of the artefact demo at a scale, its last `without` runs left out."""
    for spec in specs(scale)[: -without or None]:
        write_rows(results / scale, [row(spec.method, spec.seed, "fd", spec.total_kimg, 50.0, spec)])
        write_spec(results / scale, spec)


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Rows at the scales day, hours and smoke, and one figure to draw."""
    monkeypatch.setattr(render, "artefact", with_figures("curves"))
    for scale in ("day", "hours", "smoke"):
        write_scale(tmp_path / "results", scale)
    return tmp_path / "results"


def rendered(results: Path, scale: str) -> bool:
    files = ("tables/demo.md", "figures/demo/curves.png", "page/index.html")
    there = {(results / scale / file).exists() for file in files}
    assert len(there) == 1, "all or nothing"
    return there.pop()


def shown(page: Path) -> set[str]:
    """The runs on a page that were measured here."""
    board = json.loads((page / "leaderboard.json").read_text())["rows"]
    return {entry["facts"]["run"] for entry in board if entry["source"] == "measured"}


def ids(*scales: str) -> set[str]:
    return {spec.run_id for scale in scales for spec in specs(scale)}


def test_all_scales_are_rendered_and_the_page_of_all_leaves_smoke_out(results):
    all_scales.main(["--results", str(results)])
    assert all(rendered(results, scale) for scale in ("day", "hours", "smoke"))
    for scale in ("day", "hours", "smoke"):
        assert shown(results / scale / "page") == ids(scale)
    assert shown(results / "page") == ids("day", "hours")
    assert not (results / "demo").exists(), "the configured scale has no rows"
    lines = list(csv.DictReader((results / "hours/tables/demo.csv").open()))
    assert {(line["method"], line["n"]) for line in lines} == {(spec.method, "3") for spec in specs("hours")}


def test_a_scale_with_broken_rows_does_not_stop_the_others(results):
    broken = next((results / "day").glob("rows/*/*/proxy.jsonl"))
    broken.write_text('{"run": ')
    with pytest.raises(ConfigError, match=r"results/day: .*proxy\.jsonl, line 1: not valid JSON"):
        all_scales.main(["--results", str(results)])
    assert rendered(results, "hours") and rendered(results, "smoke") and not rendered(results, "day")


def test_a_folder_that_is_no_scale_is_named(results):
    shutil.copytree(results / "hours", results / "huors")
    with pytest.raises(ConfigError, match=r"results/huors: unknown scale 'huors'\. Did you mean 'hours'"):
        all_scales.main(["--results", str(results)])
    assert rendered(results, "hours")


def test_keys_of_the_configuration_hold_at_every_scale(results, capsys):
    """Of other training-set sizes no row is there: tables are not written, the pages are."""
    all_scales.main(["--results", str(results), "--config", "{images: [24]}"])
    assert not list(results.glob("*/tables")) and shown(results / "page") == ids("day", "hours")
    assert f"{results}/hours: no artefact has these rows under this configuration" in capsys.readouterr().out


def test_without_any_rows_the_page_has_the_papers_and_the_command_fails(tmp_path):
    (tmp_path / "results/day/rows").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"rows hold no rows\. Run snakemake first"):
        all_scales.main(["--results", str(tmp_path / "results")])
    assert shown(tmp_path / "results/page") == set()


def test_an_artefact_that_lacks_a_run_is_rendered_unless_another_shows_its_rows(tmp_path, monkeypatch):
    """demo is a part of the artefact `more`: as long as demo is whole, `more` would add nothing but gaps."""
    several = {"demo": ["none", "diffaugment-tc", "da", "ada"], "more": ["none", "diffaugment-tc", "da", "ada", "bcr"]}

    def runs(name, config):
        return expand("demo", configured(scale="hours", methods=[m for m in several[name] if m == "bcr"]))

    monkeypatch.setattr(all_scales, "artefact_names", lambda: sorted(several))
    monkeypatch.setattr(all_scales, "artefact", lambda name: content_of())
    monkeypatch.setattr(all_scales, "expand", runs)
    results, config = tmp_path / "results", CONFIG.model_copy(update={"scale": "hours", "artefacts": []})
    rows = results / "hours" / "rows"
    assert all_scales.with_rows(config, rows) == []
    write_scale(results, "hours")
    assert all_scales.with_rows(config, rows) == ["demo"]
    assert all_scales.with_rows(config.model_copy(update={"artefacts": ["more"]}), rows) == ["demo", "more"]
    shutil.rmtree(rows / specs("hours")[0].run_id)
    assert all_scales.with_rows(config, rows) == ["demo", "more"]
