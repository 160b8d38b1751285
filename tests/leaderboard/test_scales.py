"""What the page says of the scales of its rows, and of one whose numbers mean nothing."""

from __future__ import annotations

import csv
import json

import pytest
from markupsafe import escape

from leangan.leaderboard import page
from leangan.results.scale_notes import describe
from tests.helpers.synthetic import row, spec, write_rows, write_spec


def write_page(tmp_path, *scales, stated=None):
    """The page of one run at each scale. `stated` is the scale that spec.json names."""
    for scale in scales:
        write_rows(tmp_path / scale, [row("ada", 0, "fd", 0.5, 9.0)])
        if stated:
            write_spec(tmp_path / scale, spec("ada"), config={"scale": stated})
    html = tmp_path / "page/index.html"
    page.main(["--rows", *(str(tmp_path / scale / "rows") for scale in scales), "--out", str(html)])
    return html.read_text()


def test_a_smoke_page_says_that_its_numbers_mean_nothing(tmp_path):
    html = write_page(tmp_path, "smoke")
    assert "The measured numbers of this page mean nothing." in html
    assert html.count('<span class="badge failed">smoke</span>') == 1, "so does the row, and no published one"
    assert "Measured at scale <b>smoke</b>: training of 0.512 kimg" in html and "64 generated images, 1 seed." in html


@pytest.mark.parametrize("scale", ["demo", "hours", "paper"])
def test_other_scales_say_what_they_are_and_do_not_warn(tmp_path, scale):
    html = write_page(tmp_path, scale)
    assert f"Measured at scale <b>{scale}</b>: {escape(describe(scale))}." in html
    assert "mean nothing" not in html and "badge failed" not in html


def test_rows_that_were_copied_elsewhere_keep_their_scale(tmp_path):
    html = write_page(tmp_path, "copied", stated="smoke")
    assert (
        "mean nothing" in html
        and "results/smoke/rows" in json.loads((tmp_path / "page/leaderboard.json").read_text())["rows"][0]["command"]
    )


def test_a_folder_that_is_no_scale_is_named_without_a_description(tmp_path):
    assert "Measured at scale <b>mine</b>.</p>" in write_page(tmp_path, "mine")


def test_data_tell_the_scale_of_measured_lines_alone(tmp_path):
    write_page(tmp_path, "smoke")
    records = json.loads((tmp_path / "page/leaderboard.json").read_text())["rows"]
    assert {(record["source"], record["scale"]) for record in records} == {("measured", "smoke"), ("published", None)}
    with (tmp_path / "page/leaderboard.csv").open(newline="") as file:
        assert {(line["source"], line["scale"]) for line in csv.DictReader(file)} == {
            ("measured", "smoke"),
            ("published", ""),
        }


@pytest.mark.parametrize(
    "scale, words",
    [
        ("hours", ["120 kimg", "2,000 generated images", "3 seeds"]),
        ("demo", ["24 kimg", "1,000 generated images", "1 seed"]),
        ("paper", ["the published length", "the protocol's number of generated images", "3 seeds"]),
    ],
)
def test_a_scale_in_words(scale, words):
    assert [part for part in words if part in describe(scale)] == words
    assert describe("none-such") == ""
