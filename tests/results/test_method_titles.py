"""The titles of methods: no two methods share one, and one method is written one way."""

from __future__ import annotations

import pytest

from leangan.leaderboard.measured_entries import measured_entries
from leangan.leaderboard.published_entries import published_entries
from leangan.results.collect import collect
from leangan.results.method_titles import distinguish_titles, key_of
from tests.helpers.papers import number
from tests.helpers.synthetic import row, write_rows


@pytest.mark.parametrize(
    "one, other",
    [
        ("Baseline", "baseline"),
        ("Freeze-D", "FreezeD"),
        ("PA-GAN", "pa_gan"),
        ("ADA + bCR", "ADA  + BCR"),
        ("Größe", "GRÖSSE"),
    ],
)
def test_spellings_of_one_title(one, other):
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("ADA", "ADA+"),
        ("ADA (ada.target 0.4)", "ADA (ada.target -0.4)"),
        ("top 1", "top-1"),
        ("p 0.1", "p 01"),
        ("baseline", "baseline (x-flips)"),
    ],
)
def test_different_titles(one, other):
    assert key_of(one) != key_of(other)


def test_a_title_that_differs_from_another_method_s_in_capitals_alone_says_its_method():
    titles = [("none", "Baseline"), ("mine", "baseline"), ("none", "BASELINE")]
    assert distinguish_titles(titles) == {
        ("none", "Baseline"): "Baseline",
        ("mine", "baseline"): "baseline (mine)",
        ("none", "BASELINE"): "Baseline",
    }


def test_papers_and_runs_spell_a_method_as_the_runs_do(tmp_path):
    rows = [
        row("none", 0, "fd", 1.0, 9.0, method_title="Baseline"),
        row("freeze_d", 0, "fd", 1.0, 8.0, method_title="Freeze-D"),
    ]
    papers = [
        number(method="baseline", name="none"),
        number(method="FreezeD"),
        number(method="baseline (x-flips)", name="none"),
        number(method="InsGen"),
        number(method="INSGEN"),
    ]
    measured = measured_entries(collect(write_rows(tmp_path / "demo", rows)), tmp_path / "demo/rows")
    published = published_entries(papers, measured)
    assert [entry.method for entry in published] == ["Baseline", "Freeze-D", "baseline (x-flips)", "InsGen", "InsGen"]
    assert {entry.method for entry in measured} == {"Baseline", "Freeze-D"}
    assert [entry.method for entry in published_entries(papers)][:2] == ["baseline", "FreezeD"], "the papers' own words"
    same = [entry.id for entry in published_entries(papers)]
    assert [entry.id for entry in published] == same, "links stay valid"
