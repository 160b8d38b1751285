"""What may be called and ranked as a full reproduction."""

from __future__ import annotations

import itertools

import pytest

from leangan.leaderboard.entry import Entry, rank
from leangan.leaderboard.published_entries import published_entries
from leangan.leaderboard.standing import find_departures, percent, standing
from tests.helpers.papers import number
from tests.helpers.synthetic import row

PUBLISHED_KIMG = 25000.0
LENGTHS = (None, 1.0, 24989.0, 24990.0, PUBLISHED_KIMG, 30000.0)
"""Training lengths; one line of the log at the scale paper is 10 kimg."""


def combinations():
    """Every source, with and without every fault, at every length."""
    return itertools.product(
        ("measured", "submitted"), (True, False), (True, False), LENGTHS, (None, PUBLISHED_KIMG), ((), ("a departure",))
    )


def stand(source, done, proxy, kimg, published_kimg, found):
    return standing(source, done=done, proxy=proxy, kimg=kimg, published_kimg=published_kimg, departures=found)


def test_only_what_lacks_nothing_is_a_full_reproduction():
    full = {case for case in combinations() if stand(*case).ranking == "full"}
    assert full == {
        ("measured", done, False, kimg, PUBLISHED_KIMG, ())
        for done in (True, False)
        for kimg in (24990.0, PUBLISHED_KIMG, 30000.0)
    }


def test_no_combination_of_flags_puts_less_into_the_ranking_of_full_reproductions():
    """All combinations at once, in one group: each is ranked among its kind alone."""
    entries = [
        Entry(id=str(i), source=case[0], standing=stand(*case), method="m", dataset="d", images=1, model="b",
              metric="FID", protocol="ada", group=("one",), higher_is_better=False, best=float(i), planned_kimg=case[3])
        for i, case in enumerate(combinations())
    ]  # fmt: skip
    entries = rank(entries)
    for entry, case in zip(entries, combinations(), strict=True):
        source, done, proxy, kimg, published_kimg, found = case
        complete = kimg is not None and published_kimg is not None and kimg >= published_kimg - 10
        peers = [other for other in entries if other.rank is not None and other.peers == entry.peers]
        if entry.rank is None:
            assert not done
        elif source == "measured" and not proxy and complete and not found:
            assert {peer.standing.ranking for peer in peers} == {"full"} and entry.rank_of == 3
        else:
            assert "full" not in {peer.standing.ranking for peer in peers}
            assert {peer.standing.level for peer in peers} == {entry.standing.level}


def test_each_row_says_how_far_its_length_is_from_the_published_one():
    short = stand("measured", True, False, 1000.0, PUBLISHED_KIMG, ())
    assert (short.ranking, short.share) == ("reduced", pytest.approx(0.04))
    assert short.shortfalls == ("trained for 4 % of the published length",)
    assert stand("measured", True, True, 1.0, None, ()).shortfalls == (
        "a proxy metric, not FID", "no published training length to compare with"
    )  # fmt: skip


@pytest.mark.parametrize(
    "share, text",
    [(1, "100 %"), (0.99999, "99 %"), (0.503, "50 %"), (0.04, "4 %"), (0.0008, "0.08 %"), (10.4, "1,040 %")],
)
def test_a_share_is_whole_only_if_it_is(share, text):
    assert percent(share) == text


def methods(*homes):
    """The plugins of a run."""
    return [{"name": f"m{i}", "code_sha256": "ab" * 32, "home": home} for i, home in enumerate(homes)]


def result(family="fid", protocol=None, **changes):
    stated = {"name": "ada", "extractor": "inception_v3", "input_px": 299, **(protocol or {})}
    usual = {"proxy": False, "n_fake": 50000, "n_real": 70000}
    return row("ada", 0, family, 25000.0, 3.0, protocol=stated, **{**usual, **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"n_fake": 10000}, ["10,000 generated images in place of 50,000"]),
        ({"reference": "test"}, ["another extractor or reference set than protocol ada has"]),
        (
            {"family": "clean_fid", "protocol": {"extractor": "clean_inception"}},
            ["another extractor or reference set than protocol ada has"],
        ),
        ({"protocol": {"name": "mine"}}, ["a protocol that config/protocols.yaml does not have: mine"]),
        (
            {"provenance": {"tf32": True}},
            ["float32 factors rounded to 10 bits (TF32), which no published run did"],
        ),
        ({"provenance": {"dirty": True}}, ["code that no commit describes"]),
        ({"provenance": {"commit": None}}, ["code that no commit describes"]),
        ({"provenance": {"earlier_commits": ["abc"]}}, ["trained under several commits"]),
        ({"provenance": {"methods": methods("project", "project")}}, []),
        (
            {"provenance": {"methods": methods("project", "folder", "package theirs 1.2")}},
            [
                "a method from outside this project: m1 (folder)",
                "a method from outside this project: m2 (package theirs 1.2)",
            ],
        ),
    ],
)
def test_departures_from_protocol_and_commit_are_found(change, words):
    assert find_departures(result(**change)) == words


def test_ten_evaluations_are_ten():
    clean = {"name": "clean-fid-full", "extractor": "clean_inception"}
    for seeds, words in (
        ({"eval_seeds": 10}, []),
        ({"eval_seeds": 1}, ["fewer than 10 evaluations"]),
        ({}, ["fewer than 10 evaluations"]),
    ):
        assert find_departures(result("clean_fid", {**clean, **seeds})) == words


@pytest.mark.parametrize(
    ("line", "ranked"),
    [
        ({}, True),
        ({"verified": "no"}, False),
        ({"quoted": "yes"}, False),
        ({"protocol": "as quoted"}, True),
    ],
)
def test_quoted_and_unverified_numbers_are_not_ranked_whatever_the_words(line, ranked):
    (entry,) = published_entries([number(**line)])
    assert entry.standing.ranked is ranked and (entry.doubt == "") is ranked


@pytest.mark.parametrize("source", ["measured", "submitted"])
def test_what_trains_by_the_measuring_network_keeps_its_table_and_has_no_rank(source):
    stated = {"done": True, "proxy": True, "kimg": 1.0, "published_kimg": None}
    usual, other = standing(source, **stated), standing(source, **stated, unranked="for a reason")
    assert usual.ranked and not other.ranked and (usual.ranking, usual.level) == (other.ranking, other.level)
