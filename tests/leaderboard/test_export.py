"""The leaderboard as data: complete, described, and small where it has many rows."""

from __future__ import annotations

import csv
import io
import json

import pytest
from jsonschema import Draft202012Validator

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.yaml_files import read
from leangan.leaderboard import export, page
from leangan.leaderboard.entry import Entry
from leangan.leaderboard.line import Line
from leangan.leaderboard.published_entries import published_entries
from leangan.leaderboard.standing import standing
from leangan.results.measured_runs import Run
from leangan.results.metric_names import Metric
from leangan.results.published import read_published
from tests.helpers import synthetic

SCHEMA = Draft202012Validator(read("workflow/schemas/leaderboard.schema.yaml"))
FAMILIES = ("fid", "kid", "precision", "recall", "copying", "nn_ratio")
SNAPSHOTS = [1000.0 * k for k in range(1, 26)]


@pytest.fixture(scope="module")
def published():
    return published_entries(read_published(ROOT / "results/published/published.csv"))


def many(count):
    """Measured entries as full as they get: six metrics at 25 snapshots, no two numbers alike."""
    entries = []
    for i in range(count):
        run = f"set{i % 5}-1000/stylegan2-m{i % 40}-s{i % 3}-{i:08x}"
        metrics = [Metric(family, 50000, "full", "inception_v3") for family in FAMILIES]
        runs = {}
        for j, metric in enumerate(metrics):
            curve = [
                (kimg, (1 + (i * 7919 + j * 104729 + k * 15485863) % 9973) / 100) for k, kimg in enumerate(SNAPSHOTS)
            ]
            best_kimg, best = min(curve, key=lambda point: point[1])
            runs[metric] = Run(run, "m", i % 3, "done", None, curve, best, best_kimg, curve[-1][1], curve[-1][0])
        first = runs[metrics[0]]
        entries.append(
            Entry(
                id=f"{i:010x}", source="measured", method=f"Method {i % 40}", method_name=f"m{i % 40}",
                standing=standing("measured", done=True, proxy=False, kimg=25000.0, published_kimg=25000.0),
                dataset=f"set{i % 5} 256 px", images=1000, images_text="1,000", model="stylegan2 (paper256)",
                metric="FID", protocol="ada", group=(f"set{i % 5}", "fid50k_full"), higher_is_better=False,
                setting={"dataset": f"set{i % 5}", "resolution": 256, "backbone": "stylegan2", "preset": "paper256",
                         "conditional": False},
                best=first.best, best_text=f"{first.best:.2f}", best_kimg=first.best_kimg, final=first.final,
                final_text=f"{first.final:.2f}", kimg=25000.0, planned_kimg=25000.0, published_kimg=25000.0, seed=i % 3,
                facts=list({"run": run, "generated images": "50,000", "extractor's sha256": "6726825d" * 8,
                       "commit": "ab" * 20, "device": "NVIDIA H200", "training (s)": f"{i * 7919 % 99991}",
                       "trained at (UTC)": f"2026-01-02T03:{i % 60:02d}:{i % 59:02d}+00:00"}.items()),
                command=f"snakemake --cores all results/paper/rows/{run}/ada.jsonl --config scale=paper", runs=runs,
            )
        )  # fmt: skip
    return entries


def test_the_real_published_numbers_have_ids_of_their_own_and_fit_the_schema(published):
    document = json.loads(export.to_json(page.sort_entries(published)))
    SCHEMA.validate(document)
    assert len({record["id"] for record in document["rows"]}) == len(published) > 400
    kid = [record for record in document["rows"] if record["metric"] == "KID ×10³"]
    assert {record["value_text"]: record["value"] for record in kid}["2.88"] == pytest.approx(2.88)


def test_data_of_a_results_folder(tmp_path):
    folder, run = tmp_path / "results" / synthetic.SCALE, synthetic.spec("ada", 0).run_id
    synthetic.write_rows(folder, [*synthetic.measured_rows(), synthetic.failed_row("bcr", 0, "skip", "no labels")])
    synthetic.write_run(folder / "rows" / run, "ada", 0)
    page.main(["--rows", str(folder / "rows"), "--published", str(ROOT / "results/published/published.csv"),
               "--out", str(tmp_path / "page/index.html")])  # fmt: skip
    document = json.loads((tmp_path / "page/leaderboard.json").read_text())
    SCHEMA.validate(document)
    mine = [record for record in document["rows"] if record["source"] == "measured"]
    assert len(mine) == len(synthetic.SPECS) + 1 and {record["ranking"] for record in mine} == {"proxy"}
    (ada,) = [record for record in mine if record["method"] == "ADA" and record["seed"] == 0]
    curve = [[kimg, pytest.approx(synthetic.distance("ada", 0, kimg))] for kimg in synthetic.KIMG]
    assert ada["measurements"][0]["curve"] == curve
    assert ada["value"] == pytest.approx(min(synthetic.distance("ada", 0, kimg) for kimg in synthetic.KIMG))
    assert ada["measurements"][1]["metric"].startswith("KD ×10³")
    assert ada["measurements"][1]["final_value"] == pytest.approx(1000 * synthetic.distance("ada", 0, 20.0) / 800)
    assert all((tmp_path / "page" / sample["file"]).is_file() for sample in ada["samples"]) and len(ada["samples"]) == 3
    table = list(csv.DictReader(io.StringIO((tmp_path / "page/leaderboard.csv").read_text())))
    assert len(table) == len(document["rows"]) and set(table[0]) == set(document["rows"][0]) - set(export.NESTED)
    assert float(next(line for line in table if line["id"] == ada["id"])["value"]) == ada["value"]
    measurements = list(csv.DictReader(io.StringIO((tmp_path / "page/measurements.csv").read_text())))
    assert len(measurements) == len(synthetic.measured_rows()) + 1


def test_data_of_a_run_with_metrics_that_have_no_value(tmp_path):
    """Null is what the page shows as a dash; the reason is on the page and in the data."""
    rows = [synthetic.row("none", 0, "fd", kimg, 9.0 - kimg) for kimg in (1.0, 2.0)]
    rows += [synthetic.row("none", 0, "kd", 1.0, 0.5), synthetic.lacking_row("none", 0, "kd", 2.0, "all alike")]
    rows += [synthetic.lacking_row("ada", 0, "fd", 1.0, "one image")]
    synthetic.write_rows(tmp_path / "demo", rows)
    page.main(["--rows", str(tmp_path / "demo/rows"), "--out", str(tmp_path / "page/index.html")])
    document = json.loads((tmp_path / "page/leaderboard.json").read_text())
    SCHEMA.validate(document)
    measured, without = [line for line in document["rows"] if line["source"] == "measured"]
    assert [(each["value"], each["final_value"]) for each in measured["measurements"]] == [(7.0, 7.0), (None, None)]
    assert measured["measurements"][1]["curve"] == [[1.0, 500.0]]
    assert measured["reason"] == "KD ×10³ (EfficientNet-Lite0): at 2 kimg all alike" and measured["status"] == "done"
    assert (without["value"], without["reason"]) == (None, "FD (EfficientNet-Lite0): one image")


def test_without_rows_the_page_shows_what_is_published(tmp_path, published):
    page.main(["--rows", "--submitted", str(tmp_path / "none"), "--published",
               str(ROOT / "results/published/published.csv"), "--out", str(tmp_path / "index.html")])  # fmt: skip
    assert (tmp_path / "index.html").read_text().count("<tbody class=") == len(published)


def test_a_folder_without_rows_yet_leaves_the_page_whole(tmp_path, capsys):
    """As an interrupted first run of another scale leaves it; a folder that does not exist is a mistake."""
    begun, other = tmp_path / "paper/rows", tmp_path / "day/rows"
    synthetic.write_rows(tmp_path / "day", [synthetic.row("none", 0, "fd", 2.5, 7.0)])
    (begun / "elpv-32/run").mkdir(parents=True)
    (begun / "elpv-32/run/train.jsonl").write_text('{"kimg": 1}\n')
    options = ["--published", str(ROOT / "results/published/published.csv"), "--rows"]
    page.main([*options, str(begun), str(other), "--out", str(tmp_path / "page/index.html")])
    assert f"{begun} holds no rows yet" in capsys.readouterr().err
    records = json.loads((tmp_path / "page/leaderboard.json").read_text())["rows"]
    assert [record["value"] for record in records if record["source"] == "measured"] == [7.0]
    with pytest.raises(ConfigError, match="absent/rows holds no rows"):
        page.main([*options, str(tmp_path / "absent/rows"), "--out", str(tmp_path / "page/index.html")])


def test_names_that_differ_in_capitals_alone_have_one_order():
    assert page.alphabetical(["b", "ada", "ADA"]) == page.alphabetical(["ADA", "b", "ada"]) == ["ADA", "ada", "b"]
    assert page.alphabetical({5000, 50}) == [50, 5000]


def test_the_guide_names_every_field():
    guide = (ROOT / "docs/leaderboard.md").read_text()
    assert [name for name in Line.model_fields if f"`{name}`" not in guide] == []


@pytest.mark.browser
def test_a_thousand_rows_stay_under_two_megabytes_and_usable(opened, tmp_path):
    html = tmp_path / "index.html"
    html.write_text(page.render(page.sort_entries(many(1000))))
    assert html.stat().st_size < 2_000_000
    with opened(html) as browser:
        browser.select_option("#filters select[name=dataset]", "set3 256 px")
        assert browser.locator("output").inner_text() == "200 of 1000 rows"
        browser.locator("button[data-key=best]").click()
        assert browser.locator("table.board tbody:visible").count() == 25
        browser.get_by_role("button", name="Show all 200 rows").click()
        values = browser.locator("tbody:visible > tr > :nth-child(7)").all_inner_texts()
        values = [float(text.split()[0]) for text in values]
        assert len(values) == 200 and values == sorted(values)
        browser.locator("tbody:visible .open").first.click()
        assert browser.locator(".detail table.values tbody tr").count() == len(SNAPSHOTS)
