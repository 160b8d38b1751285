from __future__ import annotations

import csv
import dataclasses
import json
import math
import random

import pytest

from leangan.results.collect import collect, main, read_rows
from leangan.results.measured_runs import mean_and_std, runs_of
from leangan.results.metric_names import Metric
from leangan.results.table import read_results, to_csv
from leangan.runs.rows import line_of
from tests.helpers.synthetic import failed_row, lacking_row, measured_rows, row, spec, write_rows, write_spec


def test_nested_keys_become_dotted_columns_and_values_survive(tmp_path):
    value = 0.1 + 0.2
    files = write_rows(tmp_path, [row("none", 0, "fd", 2.5, value)])
    main(["--rows", *map(str, files), "--out", str(tmp_path / "r.csv")])
    (line,) = csv.DictReader((tmp_path / "r.csv").open())
    assert float(line["value"]) == value
    assert line["protocol.name"] == "proxy" and line["provenance.torch"] == "2.15.0"
    assert line["proxy"] == "true" and line["spread"] == "" and line["method"] == "none"


def test_output_does_not_depend_on_the_order_of_input(tmp_path):
    files = write_rows(tmp_path, measured_rows())
    expected = to_csv(collect(files))
    for path in files:
        lines = path.read_text().splitlines()
        random.Random(0).shuffle(lines)
        path.write_text("\n".join(lines))
    assert to_csv(collect(reversed(files))) == expected


def test_kimg_is_sorted_as_a_number(tmp_path):
    rows = [row("none", 0, "fd", kimg, 1.0) for kimg in (100.0, 20.0, 3.0)]
    assert [line.kimg for line in collect(write_rows(tmp_path, rows))] == [3.0, 20.0, 100.0]


def test_a_folder_gives_its_rows_and_not_its_training_logs(tmp_path):
    (path,) = write_rows(tmp_path, [row("none", 0, "fd", 2.5, 1.0)])
    (path.parent / "train.jsonl").write_text('{"kimg": 2.5}\n')
    assert [line.run for line in collect([tmp_path / "rows"])] == [spec("none").run_id]
    path.unlink()
    with pytest.raises(ValueError, match="rows holds no rows .*Run snakemake first"):
        collect([tmp_path / "rows"])
    with pytest.raises(ValueError, match="absent holds no rows"):
        collect([tmp_path / "absent"])


def test_broken_line_is_named(tmp_path):
    (path,) = write_rows(tmp_path, [row("none", 0, "fd", 2.5, 1.0)])
    path.write_text(path.read_text() + '{"run": \n')
    with pytest.raises(ValueError, match=r"proxy\.jsonl, line 2: not valid JSON"):
        collect([path])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"family": "frechet"}, r"unknown metric family 'frechet'.*proxy\.jsonl, line 2"),
        (
            {"family": "recall"},
            r"line 2: metric is 'fd1k_full_eff.*', must be 'recall1k_full_eff.*' by the row's family",
        ),
        ({"n_fake": 5000}, r"line 2: metric is 'fd1k_full_eff.*', must be 'fd5k_full_eff"),
        ({"reference": "test"}, r"must be 'fd1k_test_eff"),
        ({"metric": "fd1k_full"}, r"metric is 'fd1k_full', must be 'fd1k_full_efficientnet_lite0'"),
        ({"family": "", "metric": ""}, r"unknown metric family ''.*line 2"),
        ({"n_fake": None}, r"line 2: the name 'fd1k_full_efficientnet_lite0' needs n_fake"),
        ({"family": "fid", "metric": "fid1k_full"}, r"line 2: 'fid1k_full' is a proxy; FID, KID and IS are names"),
        (
            {"family": "fid", "proxy": False},
            r"line 2: metric 'fid' does not go with .*_lite0', but with .*; change family or protocol.extractor$",
        ),
        ({"proxy": False}, "line 2: proxy is False, must be True with extractor 'efficientnet_lite0'"),
        (
            {"reference": None, "metric": "fd1k_efficientnet_lite0"},
            "line 2: reference is null, must be full, train or test for 'fd'",
        ),
        (
            {"family": "copying", "metric": "copying1k_train_efficientnet_lite0"},
            "line 2: reference is full, must be train for 'copying'",
        ),
    ],
)
def test_a_line_that_no_table_can_take_is_named_and_the_table_stays(tmp_path, wrong, message):
    """It fits the schema; without the check it would stop the page, which no longer knows the file."""
    (path,) = write_rows(tmp_path, [row("none", 0, "fd", 2.5, 1.0)])
    main(["--rows", str(path), "--out", str(tmp_path / "r.csv")])
    before = (tmp_path / "r.csv").read_bytes()
    path.write_text(path.read_text() + json.dumps(json.loads(path.read_text()) | {"kimg": 5.0} | wrong) + "\n")
    with pytest.raises(ValueError, match=message):
        main(["--rows", str(path), "--out", str(tmp_path / "r.csv")])
    assert (tmp_path / "r.csv").read_bytes() == before


def test_empty_file_is_named_and_nothing_is_written(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"empty\.jsonl holds no rows"):
        main(["--rows", str(tmp_path / "empty.jsonl"), "--out", str(tmp_path / "r.csv")])
    assert [path.name for path in tmp_path.iterdir()] == ["empty.jsonl"]


def test_the_same_measurement_twice_is_an_error(tmp_path):
    line = line_of(row("none", 0, "fd", 2.5, 1.0))
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"b\.jsonl, line 1.*already in .*a\.jsonl"):
        collect([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


def test_a_run_of_two_labels_has_each_row_under_both(tmp_path):
    """Names, titles, preset and published length are those of spec.json, not those in the rows."""
    own = spec("ada")
    tuned = dataclasses.replace(own, labels=dataclasses.replace(own.labels, method="ada-tuned", title="Tuned ADA"))
    paper = dataclasses.replace(own.labels, preset="paper256", citation="arXiv:2006.06676: FFHQ", full_kimg=25000.0)
    old = {"preset": "old", "method_title": "Old"}
    write_rows(tmp_path, [row("ada", 0, "fd", kimg, value, **old) for kimg, value in ((1.0, 5.0), (2.0, 4.0))])
    write_spec(tmp_path, own, tuned, dataclasses.replace(own, labels=paper))
    lines = collect([tmp_path / "rows"])
    keys = ("preset", "method", "method_title", "published_kimg", "kimg", "value")
    assert [tuple(getattr(line, key) for key in keys) for line in lines] == [
        (*names, *point)
        for names in (
            ("paper256", "ada", "ADA", 25000.0),
            ("tiny-batch16", "ada", "ADA", None),
            ("tiny-batch16", "ada-tuned", "Tuned ADA", None),
        )
        for point in ((1.0, 5.0), (2.0, 4.0))
    ]
    assert {line.run for line in lines} == {own.run_id}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 7}, r"spec\.json belongs to run .*-s7-\w+ of setting .*, the rows beside it to run .*-s0-"),
        ({"tf32": True}, r"spec\.json belongs to run"),
    ],
)
def test_the_spec_of_another_run_is_named(tmp_path, change, message):
    (path,) = write_rows(tmp_path, [row("ada", 0, "fd", 1.0, 5.0)])
    other = write_spec(tmp_path, dataclasses.replace(spec("ada"), **change))
    other.rename(path.with_name("spec.json"))
    with pytest.raises(ValueError, match=message):
        collect([path])


def test_a_setting_that_is_not_the_specs_is_named(tmp_path):
    (path,) = write_rows(tmp_path, [row("ada", 0, "fd", 1.0, 5.0, setting="ab" * 32)])
    write_spec(tmp_path, spec("ada"))
    with pytest.raises(ValueError, match=r"spec\.json belongs to run .* to run .* of setting abab"):
        collect([path])


def test_what_is_of_the_older_scheme_is_named(tmp_path):
    (path,) = write_rows(tmp_path, [row("ada", 0, "fd", 1.0, 5.0)])
    stated = write_spec(tmp_path, spec("ada"))
    content = json.loads(stated.read_text())
    del content["scheme"]
    stated.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"spec\.json belongs to a run of scheme 1"):
        collect([path])
    stated.unlink()
    old = {key: value for key, value in json.loads(path.read_text()).items() if key != "scheme"}
    path.write_text(json.dumps(old) + "\n")
    with pytest.raises(ValueError, match=r"proxy\.jsonl, line 1, belongs to a run of scheme 1"):
        collect([path])


def test_half_a_spec_is_named(tmp_path):
    (path,) = write_rows(tmp_path, [row("ada", 0, "fd", 1.0, 5.0)])
    stated = write_spec(tmp_path, spec("ada"))
    whole = json.loads(stated.read_text())
    (label,) = whole["labels"]
    changes = [{"citation": None}, {"full_kimg": "1"}, {"title": 1}]
    wrong = [[], [label, {}], *([label, {**label, **change}] for change in changes)]
    mislabelled = [{**whole, "labels": labels} for labels in wrong]
    for broken in ("{", "[]", json.dumps({"scheme": 2}), *map(json.dumps, mislabelled)):
        stated.write_text(broken)
        with pytest.raises(ValueError, match=r"spec\.json is damaged"):
            collect([path])


def test_a_measured_row_states_its_setting_and_a_claim_may_leave_it_out(tmp_path):
    claim = row("ada", 0, "fd", 1.0, 5.0, setting=None, source="submitted")
    collect(write_rows(tmp_path, [claim]))
    with pytest.raises(ValueError, match="setting"):
        collect(write_rows(tmp_path, [claim.model_copy(update={"source": "measured"})]))


def test_rows_of_planned_runs_come_under_the_labels_of_their_specs(tmp_path):
    """Those of other runs, protocols and labels stay away; a run that was renamed is found by its id."""
    own, renamed = spec("ada"), spec("ada", preset="other")
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("none", 0, "fd", 1.0, 6.0), row("ada", 1, "fd", 1.0, 7.0)]
    write_rows(tmp_path, [*rows, row("ada", 0, "fd", 1.0, 5.0, protocol={"name": "ada"})])
    write_spec(tmp_path, own)
    found = read_rows([renamed, spec("ada", 2)], "proxy", tmp_path / "rows")
    assert [(line.run, line.preset, line.value) for line in found] == [(own.run_id, "other", 5.0)]
    (tmp_path / "rows" / spec("ada", 2).run_id).mkdir()
    path = tmp_path / "rows" / own.run_id / "proxy.jsonl"
    path.rename(tmp_path / "rows" / spec("ada", 2).run_id / "proxy.jsonl")
    with pytest.raises(ValueError, match="found a row of .*-s0-.* in the folder of .*-s2-"):
        read_rows([spec("ada", 2)], "proxy", tmp_path / "rows")


FD, KD, RECALL = (Metric(family, 1000, "full", "efficientnet_lite0") for family in ("fd", "kd", "recall"))


def read(tmp_path, rows):
    files = write_rows(tmp_path, rows)
    (tmp_path / "r.csv").write_text(to_csv(collect(files)))
    return read_results(tmp_path / "r.csv")


def test_best_and_final_of_a_distance(tmp_path):
    values = {2.5: 9.0, 5.0: 4.0, 7.5: 4.0, 10.0: 6.0}
    (run,) = runs_of(read(tmp_path, [row("ada", 3, "fd", *item) for item in values.items()]), FD)
    assert (run.best, run.best_kimg, run.final, run.final_kimg) == (4.0, 5.0, 6.0, 10.0)
    assert run.curve == list(values.items()) and run.seed == 3


def test_recall_is_taken_at_the_snapshot_of_the_best_distance(tmp_path):
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 2.0, 3.0)]
    rows += [row("ada", 0, "recall", 1.0, 0.9), row("ada", 0, "recall", 2.0, 0.4)]
    results = read(tmp_path, rows)
    assert runs_of(results, RECALL)[0].best == 0.9
    assert runs_of(results, RECALL, best_by=FD)[0].best == 0.4


def test_a_diverged_run_gives_no_number(tmp_path):
    (run,) = runs_of(
        read(tmp_path, [row("ada", 0, "fd", 1.0, 5.0), failed_row("ada", 0, "diverged", "loss_d is nan")]), FD
    )
    assert (run.status, run.reason, run.curve) == ("diverged", "loss_d is nan", [])
    assert math.isnan(run.best) and math.isnan(run.final_kimg)


def test_a_metric_without_a_value_leaves_the_others_theirs(tmp_path):
    """What the images do not define, and what failed, is the metric's alone."""
    rows = [row("ada", 0, "fd", kimg, 9.0 - kimg) for kimg in (1.0, 2.0)]
    rows += [lacking_row("ada", 0, "recall", kimg, "three real images") for kimg in (1.0, 2.0)]
    rows += [lacking_row("ada", 0, "kd", kimg, "ZeroDivisionError", "error") for kimg in (1.0, 2.0)]
    results = read(tmp_path, rows)
    (run,) = runs_of(results, FD)
    assert (run.status, run.reason, run.best, run.final) == ("done", None, 7.0, 7.0)
    for metric, reason in ((RECALL, "three real images"), (KD, "ZeroDivisionError")):
        (run,) = runs_of(results, metric, best_by=FD)
        assert (run.status, run.reason, run.curve) == ("no value", reason, [])
        assert math.isnan(run.best) and math.isnan(run.final)


def test_a_snapshot_without_a_value_is_no_point_and_never_replaced_by_another(tmp_path):
    """The distance is best at 2; recall has no value there, the distance none at the end."""
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 2.0, 3.0), lacking_row("ada", 0, "fd", 3.0, "why")]
    rows += [
        row("ada", 0, "recall", 1.0, 0.9),
        lacking_row("ada", 0, "recall", 2.0, "so"),
        row("ada", 0, "recall", 3.0, 0.4),
    ]
    results = read(tmp_path, rows)
    (run,) = runs_of(results, FD)
    assert (run.best, run.best_kimg, run.final_kimg) == (3.0, 2.0, 3.0) and math.isnan(run.final)
    assert run.curve == [(1.0, 5.0), (2.0, 3.0)] and run.reason == "at 3 kimg why"
    (run,) = runs_of(results, RECALL, best_by=FD)
    assert (run.best_kimg, run.final, run.final_kimg) == (2.0, 0.4, 3.0) and math.isnan(run.best)
    assert run.curve == [(1.0, 0.9), (3.0, 0.4)] and run.reason == "at 2 kimg so"


def test_without_the_metric_that_judges_no_snapshot_is_the_best(tmp_path):
    rows = [lacking_row("ada", 0, "fd", 1.0, "one image"), row("ada", 0, "recall", 1.0, 0.9)]
    (run,) = runs_of(read(tmp_path, rows), RECALL, best_by=FD)
    assert math.isnan(run.best) and run.final == 0.9
    assert run.reason == "no snapshot is the best: FD (EfficientNet-Lite0), which says so, has no value"


def test_a_snapshot_of_images_that_are_no_numbers_is_a_run_without_one(tmp_path):
    rows = [row("ada", 0, "fd", 1.0, 5.0), lacking_row("ada", 0, "fd", 2.0, "not finite at 2 kimg", "diverged")]
    (run,) = runs_of(read(tmp_path, rows), FD)
    assert (run.status, run.reason, run.curve) == ("diverged", "not finite at 2 kimg", [])


def test_sample_standard_deviation():
    assert mean_and_std([1.0, 2.0, 4.0]) == (pytest.approx(7 / 3), pytest.approx((7 / 3) ** 0.5))
    assert mean_and_std([5.0]) == (5.0, None)
    assert math.isnan(mean_and_std([])[0])
