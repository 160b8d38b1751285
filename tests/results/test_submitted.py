"""Submissions: what holds together stands on the page as submitted, everything else is rejected with its reason."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.leaderboard import page
from leangan.results import collect, submitted
from leangan.runs.row import Row
from leangan.runs.rows import line_of
from tests.helpers import synthetic

BY = {"submitted_by": "A. Author", "url": "https://example.org/paper"}


def claim(family: str = "fd", kimg: float = 20.0, value: float = 33.0, **changes) -> dict:
    """A row as its author wrote it."""
    theirs = {"method": "theirs", "method_title": "Theirs", "source": "submitted", "value": value}
    return {**content(synthetic.row("ada", 7, family, kimg, 33.0)), **theirs, **changes}


def content(row: Row) -> dict:
    return json.loads(line_of(row))


def submit(folder: Path, *claims: dict, name: str = "theirs", **changes) -> None:
    (folder / f"{name}.json").write_text(json.dumps({**BY, "rows": list(claims), **changes}))


def test_a_good_claim_is_accepted_with_its_author_and_digest(tmp_path):
    submit(tmp_path, claim(snapshot_sha256="ab" * 32))
    rows, rejections = submitted.read_submissions(tmp_path)
    assert rejections == [] and len(rows) == 1
    assert rows[0].source == "submitted" and rows[0].submitted_by == "A. Author"
    assert rows[0].snapshot_sha256 == "ab" * 32 and rows[0].value == 33.0


def test_a_claim_made_by_hand_need_not_state_a_setting(tmp_path):
    without = {key: value for key, value in claim(value=34.0, kimg=10.0).items() if key != "setting"}
    submit(tmp_path, claim(setting=None), without)
    rows, rejections = submitted.read_submissions(tmp_path)
    assert rejections == [] and [row.setting for row in rows] == [None, None]


def test_an_empty_or_absent_folder_has_no_submissions(tmp_path):
    assert submitted.read_submissions(tmp_path) == submitted.read_submissions(tmp_path / "absent") == ([], [])


def nested(key: str, **changes) -> dict:
    """A good claim but for one part of `protocol` or `provenance`."""
    row = copy.deepcopy(claim())
    row[key].update(changes)
    return row


@pytest.mark.parametrize(
    "row, words",
    [
        (claim(value=None), ["value"]),
        (claim(value=float("nan")), ["nan"]),
        (claim(value=-1.0), ["is -1", "outside 0 to inf"]),
        (claim("recall", value=1.5), ["1.5", "outside 0 to 1"]),
        (claim(valu=1.0), ["unknown key 'valu'", "'value'"]),
        ({k: v for k, v in claim().items() if k != "scheme"}, ["scheme is 1, must be 2", "measure it again"]),
        (claim(scheme=3), ["scheme is 3, must be 2"]),
        (claim(setting="abc"), ["setting", "'abc'"]),
        ({k: v for k, v in claim().items() if k != "provenance"}, ["lacks provenance"]),
        (
            {k: v for k, v in claim().items() if k != "family"},
            ["lacks family", "Add the metric without number of fakes"],
        ),
        (
            {**claim(), "family": "fid"},
            ["'fid'", "protocol proxy", "Known: copying, fd, kd, nn_ratio, precision, recall"],
        ),
        (
            {**claim(value=0.5), "family": "recall"},
            ["metric is 'fd1k_full_efficientnet_lite0', must be 'recall1k_full"],
        ),
        (claim(metric="fd50k_full_efficientnet_lite0"), ["metric is 'fd50k_full", "must be 'fd1k_full_efficient"]),
        (claim(metric="fd1k_test_efficientnet_lite0"), ["metric is 'fd1k_test", "must be 'fd1k_full_efficient"]),
        (claim(n_fake=None), ["n_fake = None must be of type integer"]),
        (claim(reference="train"), ["reference is 'train', must be 'full'"]),
        (claim(proxy=False), ["proxy is False, must be True"]),
        (claim(n_fake=64, metric="fd64_full_efficientnet_lite0"), ["n_fake is 64", "mean nothing", "scale=paper"]),
        (claim(total_kimg=0.512), ["total_kimg is 0.512", "smoke", "scale=paper"]),
        (nested("protocol", name="prxy"), ["unknown protocol 'prxy'", "'proxy'"]),
        (nested("protocol", extractor="inception_v3"), ["protocol.extractor is 'inception_v3'"]),
        (nested("protocol", library=None), ["protocol.library"]),
        (nested("provenance", commit=None), ["provenance.commit"]),
        (nested("provenance", commit="main"), ["provenance.commit", "'main'"]),
        (nested("provenance", time_utc="yesterday"), ["provenance.time_utc", "'yesterday'"]),
        (claim(snapshot_sha256="abc"), ["snapshot_sha256", "'abc'"]),
        (content(synthetic.failed_row("ada", 0, "error", "no memory")), ["value = None must be of type number"]),
    ],
)
def test_a_claim_that_does_not_hold_together_is_rejected_and_the_next_is_not(tmp_path, row, words):
    submit(tmp_path, row, claim(kimg=10.0))
    rows, (rejection,) = submitted.read_submissions(tmp_path)
    assert [row.kimg for row in rows] == [10.0]
    assert "theirs.json, row 1" in rejection and "\n" not in rejection
    for word in words:
        assert word in rejection


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", ["not valid JSON"]),
        ("[]", ["must be of type object"]),
        (json.dumps(BY), ["lacks rows"]),
        (json.dumps({**BY, "rows": []}), ["rows = []"]),
        (json.dumps({"rows": [claim()], "url": BY["url"]}), ["lacks submitted_by"]),
        (json.dumps({**BY, "rows": [claim()], "url": "javascript:alert(1)"}), ["url", "javascript"]),
        (json.dumps({**BY, "rows": [claim()], "mail": "x"}), ["unknown key 'mail'"]),
    ],
)
def test_a_broken_file_is_rejected_and_the_others_are_not(tmp_path, text, words):
    (tmp_path / "broken.json").write_text(text)
    submit(tmp_path, claim())
    rows, (rejection,) = submitted.read_submissions(tmp_path)
    assert len(rows) == 1 and "broken.json" in rejection
    for word in words:
        assert word in rejection


def test_one_author_measures_once_and_two_authors_may_measure_the_same_run(tmp_path):
    submit(tmp_path, claim(), claim(value=34.0))
    submit(tmp_path, claim(value=35.0), name="others", submitted_by="B. Author")
    rows, (rejection,) = submitted.read_submissions(tmp_path)
    assert sorted(row.value for row in rows) == [33.0, 35.0]
    assert "theirs.json, row 2 repeats" in rejection and "row 1" in rejection


def test_the_check_command_lists_reasons_and_fails(tmp_path, capsys):
    submit(tmp_path, claim(proxy=False))
    assert submitted.main(["check", str(tmp_path)]) == 1
    assert "not accepted: " in (said := capsys.readouterr().out) and "0 rows accepted, 1 rejections" in said
    submit(tmp_path, claim())
    assert submitted.main(["check", str(tmp_path)]) == 0


def test_rows_of_a_run_become_a_submission_with_the_snapshots_digests(tmp_path):
    measured = synthetic.row("ada", 0, "fd", 20.0, 30.0, snapshot_sha256="cd" * 32)
    failed = synthetic.failed_row("ada", 0, "error", "no memory")
    (rows,) = synthetic.write_rows(tmp_path, [measured, synthetic.row("ada", 0, "fd", 10.0, 40.0), failed])
    out = tmp_path / "submitted" / "mine.json"
    arguments = ["write", "--rows", rows, "--by", BY["submitted_by"], "--out", out]
    submitted.main([*map(str, arguments), "--url", BY["url"]])
    accepted, rejections = submitted.read_submissions(out.parent)
    assert not rejections and {row.source for row in accepted} == {"submitted"}
    assert {row.kimg: row.snapshot_sha256 for row in accepted} == {10.0: None, 20.0: "cd" * 32}
    assert {row.setting for row in accepted} == {measured.setting}
    with pytest.raises(ConfigError, match="url"):
        submitted.main([*map(str, arguments), "--url", "ftp://x"])


def test_rows_of_scale_smoke_become_no_submission_and_those_of_a_demo_do(tmp_path):
    """By what the rows say: a file may lie anywhere. Length and fakes are those of config/scales.yaml."""
    out = tmp_path / "submitted" / "mine.json"
    out.parent.mkdir()
    for scale, kimg, fakes in (("smoke", 0.512, 64), ("demo", 24.0, 1000)):
        measured = synthetic.row("ada", 0, "fd", kimg, 30.0, n_fake=fakes, total_kimg=kimg)
        (rows,) = synthetic.write_rows(tmp_path / scale, [measured])
        arguments = ["write", "--rows", str(rows), "--by", BY["submitted_by"], "--url", BY["url"], "--out", str(out)]
        if scale == "demo":
            submitted.main(arguments)
        else:
            with pytest.raises(ConfigError, match="proxy.jsonl, number 1: n_fake is 64.*mean nothing.*scale smoke"):
                submitted.main(arguments)
            assert not out.exists()
    assert [row.n_fake for row in submitted.read_submissions(out.parent)[0]] == [1000]


def test_a_submission_of_scale_smoke_is_left_off_the_page_and_named(tmp_path, capsys):
    (tmp_path / "submitted").mkdir()
    submit(tmp_path / "submitted", claim(n_fake=64, metric="fd64_full_efficientnet_lite0"), name="quick")
    submit(tmp_path / "submitted", claim())
    html = tmp_path / "page/index.html"
    page.main(["--rows", "--submitted", str(tmp_path / "submitted"), "--out", str(html)])
    assert "quick.json, row 1: n_fake is 64" in capsys.readouterr().err
    records = json.loads(html.with_name("leaderboard.json").read_text())["rows"]
    assert [record["value"] for record in records if record["source"] == "submitted"] == [33.0]


def test_the_page_shows_a_submission_as_such_and_nothing_of_a_rejected_one(tmp_path, capsys):
    scale, folder = tmp_path / "paper", tmp_path / "submitted"
    folder.mkdir()
    run = synthetic.spec("ada").run_id
    synthetic.write_rows(scale, [synthetic.row("none", 0, "fd", 20.0, 50.0), synthetic.row("ada", 0, "fd", 20.0, 40.0)])
    synthetic.write_run(scale / "rows" / run, "ada", 0)
    # The same run as one measured here: their numbers must not get our pictures or our command.
    submit(folder, claim(run=run, method_title="Theirs", snapshot_sha256="ab" * 32))
    submit(folder, claim(proxy=False, method_title="Rejected"), name="rejected", submitted_by="B. Author")
    collect.main(["--rows", str(scale / "rows"), "--submitted", str(folder), "--out", str(scale / "results.csv")])
    assert "not accepted: " in capsys.readouterr().err
    results = page.read_results(scale / "results.csv")
    theirs = [entry for entry in page.measured_entries(results, scale / "rows") if entry.source == "submitted"]
    assert [(entry.method, entry.best, entry.command, entry.grids) for entry in theirs] == [("Theirs", 33.0, "", [])]
    assert {("submitted by", "A. Author"), ("snapshot's sha256", "ab" * 32)} <= set(theirs[0].facts)
    html = page.render(page.sort_entries(page.measured_entries(results, scale / "rows")))
    assert '<span class="badge submitted">submitted</span>' in html and "A. Author" in html
    assert "Rejected" not in html and "B. Author" not in html


def test_every_submission_of_the_project_is_accepted():
    assert submitted.read_submissions(ROOT / "results" / "submitted")[1] == []
