from __future__ import annotations

import pandas as pd
import pytest
from synthetic import SPECS, failed, measured_rows, row, spec, write_rows

from report.collect import collect, to_csv
from report.curve_geometry import curve, log_ticks, nice_ticks
from report.entry import rank
from report.measured_entries import measured_entries
from report.published import COLUMNS
from report.published_entries import published_entries
from report.results import read_results
from report.settings import settings_of

FD = "fd1k_full_efficientnet_lite0"


def entries(tmp_path, rows):
    (tmp_path / "r.csv").write_text(to_csv(collect(write_rows(tmp_path, rows))))
    found = measured_entries(read_results(tmp_path / "r.csv"), tmp_path / "demo" / "rows")
    rank(found)
    return found


def published(*lines):
    table = pd.DataFrame([dict.fromkeys(COLUMNS, "x") | {"spread": "", "verified": "yes"} | line for line in lines])
    return published_entries(table.assign(number=pd.to_numeric(table["value"])))


def test_one_entry_per_run_with_best_and_final(tmp_path):
    found = entries(tmp_path, measured_rows())
    assert len(found) == len(SPECS) > 4 and {entry.metric for entry in found} == {"FD (EfficientNet-Lite0)"}
    assert all(entry.best <= entry.final and entry.proxy for entry in found)
    assert sorted(entry.rank for entry in found) == list(range(1, len(SPECS) + 1))
    assert min(found, key=lambda entry: entry.best).rank == 1


@pytest.mark.parametrize(
    "change",
    [
        {"images": 64},
        {"dataset": "other"},
        {"resolution": 64},
        {"n_fake": 64},
        {"protocol": {**row("none", 0, FD, 1.0, 1.0)["protocol"], "extractor_sha256": "cd" * 32}},
    ],
)
def test_ranks_stay_within_data_set_images_protocol_and_metric(tmp_path, change):
    found = entries(tmp_path, [row("none", 0, FD, 1.0, 9.0), {**row("ada", 0, FD, 1.0, 5.0), **change}])
    assert [entry.rank for entry in found] == [1, 1]


def test_a_proxy_and_fid_are_never_ranked_together(tmp_path):
    fid = row("ada", 0, "fid1k_full", 1.0, 5.0, proxy=False)
    fid["protocol"] = {**fid["protocol"], "extractor": "inception_v3"}
    found = entries(tmp_path, [row("none", 0, FD, 1.0, 9.0), fid])
    assert [(entry.rank, entry.proxy) for entry in found] == [(1, False), (1, True)]


def test_higher_inception_score_ranks_first_and_doubtful_numbers_do_not_rank():
    found = published({"metric": "IS", "value": "8"}, {"metric": "IS", "value": "9"},
                      {"metric": "IS", "value": "9"},
                      {"metric": "IS", "value": "10", "verified": "no"})  # fmt: skip
    rank(found)
    assert [entry.rank for entry in found] == [3, 1, 1, None]


def test_failed_run_has_no_rank_but_a_reason(tmp_path):
    found = entries(tmp_path, [row("none", 0, FD, 1.0, 9.0), failed("bcr", 0, "skip", "needs labels", proxy=False)])
    (skipped,) = (entry for entry in found if entry.status == "skip")
    assert (skipped.rank, skipped.best, skipped.reason, skipped.proxy) == (None, None, "needs labels", True)


def test_length_is_compared_with_the_published_one(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, FD, 20.0, 9.0, published_kimg=25000)])
    assert (entry.length, entry.length_note) == ("20 kimg", "0.08 % of the published 25,000")


def test_lengths_and_counts_of_millions_are_written_out(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, FD, 1024000.0, 9.0, published_kimg=1024000, n_real=1281167)])
    assert (entry.length, entry.length_note) == ("1,024,000 kimg", "100 % of the published 1,024,000")
    assert dict(entry.facts)["reference images"] == "1,281,167"


def test_command_names_the_file_of_rows(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, FD, 20.0, 9.0)])
    assert entry.command == (
        f"snakemake --cores all results/demo/rows/{spec('none').run_id}/proxy.jsonl --config scale=demo"
    )


def test_runs_of_several_scales_keep_their_commands(tmp_path):
    files = [
        *write_rows(tmp_path / "demo", [row("none", 0, FD, 20.0, 9.0)]),
        *write_rows(tmp_path / "paper", [row("ada", 0, FD, 20.0, 5.0)]),
    ]
    (tmp_path / "r.csv").write_text(to_csv(collect(files)))
    found = measured_entries(read_results(tmp_path / "r.csv"), tmp_path / "demo/rows", tmp_path / "paper/rows")
    assert {entry.method: entry.command.rsplit("=", 1)[1] for entry in found} == {"baseline": "demo", "ADA": "paper"}


def test_a_setting_holds_the_mean_over_seeds_best_first(tmp_path):
    rows = [row("none", 0, FD, 1.0, 10.0), row("none", 1, FD, 1.0, 14.0), row("ada", 0, FD, 1.0, 5.0)]
    (setting,) = settings_of(entries(tmp_path, rows))
    assert [(method, score.n, score.text, score.doubt) for method, score in setting.ordered] == [
        ("ADA", 1, "5.00", ""), ("baseline", 2, "12.00 ± 2.83", "")
    ]  # fmt: skip


def test_every_metric_of_a_run_is_a_setting_judged_where_the_first_one_is_best(tmp_path):
    precision = FD.replace("fd1k", "precision1k")
    rows = [
        row("none", 0, metric, kimg, value)
        for metric, values in ((FD, (10.0, 14.0)), (precision, (0.2, 0.9)))
        for kimg, value in zip((1.0, 2.0), values, strict=True)
    ]
    settings = settings_of(entries(tmp_path, rows))
    assert [setting.scores["baseline"].text for setting in settings] == ["10.00", "0.200"]


@pytest.mark.parametrize(
    "change",
    [
        {"images": 64},
        {"preset": "other"},
        {"conditional": True},
        {"n_fake": 64},
        {"total_kimg": 1.0},
        {"source": "submitted", "submitted_by": "A. Author"},
    ],
)
def test_methods_meet_only_in_one_setting(tmp_path, change):
    found = entries(tmp_path, [row("none", 0, FD, 1.0, 9.0), {**row("ada", 0, FD, 1.0, 5.0), **change}])
    assert [list(setting.scores) for setting in settings_of(found)] in (
        [["baseline"], ["ADA"]],
        [["ADA"], ["baseline"]],
    )


def test_methods_of_one_title_are_told_apart(tmp_path):
    rows = [row("ada", 0, FD, 1.0, 5.0), row("ada-tuned", 0, FD, 1.0, 4.0, method_title="ADA")]
    found = entries(tmp_path, rows)
    assert {entry.method: entry.best for entry in found} == {"ADA": 5.0, "ADA (ada-tuned)": 4.0}


def test_curve_fills_its_box():
    drawn = curve([(5.0, 30.0), (10.0, 10.0)], 10.0, 100, 50, (10, 5, 10, 5))
    assert drawn.points == "50.0,5.0 90.0,45.0" and drawn.best == (90.0, 45.0)
    flat = curve([(5.0, 3.0)], 5.0, 100, 50, (10, 5, 10, 5))
    assert flat.points == "90.0,5.0"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 20, [0, 5, 10, 15, 20]),
        (105, 234, [125, 150, 175, 200, 225]),
        (0.1, 0.15, [0.1, 0.11, 0.12, 0.13, 0.14, 0.15]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(3, 300, [5, 10, 20, 50, 100, 200]), (20, 40, [20, 25, 30, 35, 40]), (1, 1e6, [10.0**k for k in range(7)])],
)
def test_logarithmic_ticks_are_round_and_inside(low, high, expected):
    assert log_ticks(low, high) == pytest.approx(expected)
