from __future__ import annotations

import dataclasses
import shlex
import shutil

import pytest
from snakemake.cli import parse_config

from leangan.core.yaml_files import parse_leaves
from leangan.leaderboard.comparison import comparisons_of
from leangan.leaderboard.curve_geometry import curve, log_ticks, nice_ticks
from leangan.leaderboard.entry import rank
from leangan.leaderboard.measured_entries import measured_entries
from leangan.leaderboard.published_entries import published_entries
from leangan.plugins import registry
from leangan.results.collect import collect
from tests.helpers.papers import number
from tests.helpers.synthetic import SPECS, failed_row, lacking_row, measured_rows, row, spec, write_rows, write_spec

NOTHING = dict.fromkeys(["commit", "dirty", "torch", "device", "seconds", "images_per_s", "time_utc"])


def entries(tmp_path, rows):
    return rank(measured_entries(collect(write_rows(tmp_path / "demo", rows)), tmp_path / "demo" / "rows"))


def published(*lines):
    return published_entries(number(**line) for line in lines)


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
        {"protocol": {"extractor_sha256": "cd" * 32}},
        {"protocol": {"tf32": True}},
    ],
)
def test_ranks_stay_within_data_set_images_protocol_and_metric(tmp_path, change):
    found = entries(tmp_path, [row("none", 0, "fd", 1.0, 9.0), row("ada", 0, "fd", 1.0, 5.0, **change)])
    assert [entry.rank for entry in found] == [1, 1]


def test_a_proxy_and_fid_are_never_ranked_together(tmp_path):
    fid = row("ada", 0, "fid", 1.0, 5.0, proxy=False, protocol={"extractor": "inception_v3"})
    found = entries(tmp_path, [row("none", 0, "fd", 1.0, 9.0), fid])
    assert [(entry.rank, entry.proxy) for entry in found] == [(1, False), (1, True)]


def test_higher_inception_score_ranks_first_and_doubtful_numbers_do_not_rank():
    found = published({"family": "is", "value": "8"}, {"family": "is", "value": "9"},
                      {"family": "is", "value": "9"},
                      {"family": "is", "value": "10", "verified": "no"})  # fmt: skip
    found = rank(found)
    assert [entry.rank for entry in found] == [3, 1, 1, None]


def test_failed_run_has_no_rank_but_a_reason(tmp_path):
    found = entries(
        tmp_path, [row("none", 0, "fd", 1.0, 9.0), failed_row("bcr", 0, "skip", "needs labels", proxy=False)]
    )
    (skipped,) = (entry for entry in found if entry.status == "skip")
    assert (skipped.rank, skipped.best, skipped.reason, skipped.proxy) == (None, None, "needs labels", True)


def test_metrics_without_a_value_are_named_and_the_run_ranks_by_the_first_that_has_one(tmp_path):
    rows = [row("none", 0, "fd", kimg, 9.0 - kimg) for kimg in (1.0, 2.0)]
    rows += [lacking_row("none", 0, "recall", kimg, "too few") for kimg in (1.0, 2.0)]
    rows += [row("none", 0, "kd", 1.0, 0.5), lacking_row("none", 0, "kd", 2.0, "all alike", "error")]
    rows += [lacking_row("ada", 0, "fd", 1.0, "one image"), row("ada", 0, "recall", 1.0, 0.5)]
    rows += [lacking_row("da", 0, "fd", 1.0, "one image")]
    found = {entry.method_name: entry for entry in entries(tmp_path, rows)}
    first = found["none"]
    assert (first.status, first.rank, first.best, first.final) == ("done", 1, 7.0, 7.0)
    assert first.reason == ("KD ×10³ (EfficientNet-Lite0): at 2 kimg all alike; Recall (EfficientNet-Lite0): too few")
    assert [metric.family for metric in first.runs] == ["fd", "kd"]
    assert (found["ada"].status, found["ada"].rank, found["ada"].best) == ("done", 1, 0.5)
    assert found["ada"].metric.startswith("Recall") and found["ada"].reason == "FD (EfficientNet-Lite0): one image"
    assert (found["da"].status, found["da"].rank, found["da"].best_text, found["da"].runs) == ("done", None, "–", {})
    compared = {comparison.metric for comparison in comparisons_of(list(found.values()))}
    assert compared == {"FD (EfficientNet-Lite0)", "Recall (EfficientNet-Lite0)"}


def test_length_is_compared_with_the_published_one(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, "fd", 20.0, 9.0, published_kimg=25000)])
    assert (entry.length, entry.length_note) == ("20 kimg", "0.08 % of the published 25,000")


def test_lengths_and_counts_of_millions_are_written_out(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, "fd", 1024000.0, 9.0, published_kimg=1024000, n_real=1281167)])
    assert (entry.length, entry.length_note) == ("1,024,000 kimg", "100 % of the published 1,024,000")
    assert dict(entry.facts)["reference images"] == "1,281,167"


def test_command_names_the_file_of_rows(tmp_path):
    (entry,) = entries(tmp_path, [row("none", 0, "fd", 20.0, 9.0)])
    assert entry.command == (
        f"snakemake --cores all results/demo/rows/{spec('none').run_id}/proxy.jsonl --config scale=demo"
    )


def test_command_gives_the_configuration_of_the_run(tmp_path):
    """Every key as the engine reads it back: JSON, quoted for the shell."""
    config = {
        "scale": "paper",
        "datasets": {"mine": {"path": "/data/it's mine: #1.zip", "resolution": 32}},
        "images": [24],
        "methods": ["mine"],
        "arithmetic": {"tf32": True, "half": "none"},
        "inception_weights": None,
        "device": "cpu",
    }
    write_spec(tmp_path / "demo", spec("none"), config=config)
    (entry,) = entries(tmp_path, [row("none", 0, "fd", 20.0, 9.0)])
    words = shlex.split(entry.command)
    assert words[:3] == ["snakemake", "--cores", "all"] and words[4:6] == ["--config", "scale=paper"]
    assert words[3] == f"results/paper/rows/{spec('none').run_id}/proxy.jsonl"
    assert "device=cpu" in words and "images=[24]" in words and "inception_weights=null" in words
    assert parse_leaves(parse_config(words[5:])) == config


def test_a_run_of_another_revision_says_so_and_is_made_again_at_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.require("method", "da"), "revision", 5)
    for seed, (revisions, commit) in enumerate([({"da": 4}, "c" * 40), ({}, None), ({"da": 5}, "c" * 40)]):
        run = dataclasses.replace(spec("da", seed), revisions=revisions)
        write_spec(tmp_path / "demo", run)
        (entry,) = entries(tmp_path, [row("da", seed, "fd", 20.0, 9.0, of=run, provenance={"commit": commit})])
        stated = revisions.get("da", 0)
        note = f"revision {stated} of da, now 5: the present code trains another run in its place"
        assert dict(entry.facts).get("revision") == (note if stated != 5 else None)
        assert entry.command.startswith(f"git checkout {commit} && snakemake " if stated == 4 else "snakemake ")
        shutil.rmtree(tmp_path / "demo")


def test_runs_of_several_scales_keep_their_commands(tmp_path):
    files = [
        *write_rows(tmp_path / "demo", [row("none", 0, "fd", 20.0, 9.0)]),
        *write_rows(tmp_path / "paper", [row("ada", 0, "fd", 20.0, 5.0)]),
    ]
    found = measured_entries(collect(files), tmp_path / "demo/rows", tmp_path / "paper/rows")
    assert {entry.method: entry.command.rsplit("=", 1)[1] for entry in found} == {"baseline": "demo", "ADA": "paper"}


def test_a_setting_holds_the_mean_over_seeds_best_first(tmp_path):
    rows = [row("none", 0, "fd", 1.0, 10.0), row("none", 1, "fd", 1.0, 14.0), row("ada", 0, "fd", 1.0, 5.0)]
    (comparison,) = comparisons_of(entries(tmp_path, rows))
    assert [(method, score.n, score.text, score.doubt) for method, score in comparison.best_first] == [
        ("ADA", 1, "5.00", ""), ("baseline", 2, "12.00 ± 2.83", "")
    ]  # fmt: skip


@pytest.mark.parametrize("family, values", [("fd", (1.0, 10.0, 20.0)), ("recall", (0.9, 0.5, 0.4))])
def test_what_is_not_ranked_comes_last(tmp_path, family, values):
    """Whichever of higher and lower is better."""
    rows = [
        row(method, 0, family, 1.0, value) for method, value in zip(("projected", "ada", "none"), values, strict=True)
    ]
    (comparison,) = comparisons_of(entries(tmp_path, rows))
    found = comparison.best_first
    assert [method for method, _ in found] == ["ADA", "baseline", "projected"]
    assert [score.ranked for _, score in found] == [True, True, False]
    assert {method: score[4] for method, score in comparison.record()["scores"].items()} == {
        "projected": False, "ADA": True, "baseline": True,
    }  # fmt: skip


def test_each_metric_of_a_run_has_its_own_reason_not_to_rank(tmp_path):
    """The first one is measured with Inception, by which the method does not train."""
    inception = {"proxy": False, "protocol": {"extractor": "inception_v3"}}
    rows = [row("projected", 0, "fid", 1.0, 5.0, **inception), row("projected", 0, "fd", 1.0, 1.0)]
    found = entries(tmp_path, rows)
    assert [entry.doubt for entry in found] == [""]
    fid, fd = (each.scores["projected"] for each in comparisons_of(found))
    assert fid.ranked and fid.doubt == "" and not fd.ranked and "EfficientNet-Lite0 (projected)" in fd.doubt


def test_one_seed_that_is_not_ranked_is_enough_for_the_mean(tmp_path):
    first, second = entries(tmp_path, [row("ada", seed, "fd", 1.0, 5.0) for seed in (0, 1)])
    second = dataclasses.replace(second, plugins=("ada", "projected"))
    (comparison,) = comparisons_of([first, second])
    assert not comparison.scores["ADA"].ranked


def test_every_metric_of_a_run_is_a_setting_judged_where_the_first_one_is_best(tmp_path):
    rows = [
        row("none", 0, family, kimg, value)
        for family, values in (("fd", (10.0, 14.0)), ("precision", (0.2, 0.9)))
        for kimg, value in zip((1.0, 2.0), values, strict=True)
    ]
    comparisons = comparisons_of(entries(tmp_path, rows))
    assert [each.scores["baseline"].text for each in comparisons] == ["10.00", "0.200"]


def test_methods_are_not_compared_by_signs_of_copying(tmp_path):
    rows = [row("none", 0, "fd", 1.0, 10.0), row("none", 0, "copying", 1.0, 0.5, reference="train")]
    (comparison,) = comparisons_of(entries(tmp_path, rows))
    assert comparison.scores["baseline"].text == "10.00"


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
    found = entries(tmp_path, [row("none", 0, "fd", 1.0, 9.0), row("ada", 0, "fd", 1.0, 5.0, **change)])
    assert [list(each.scores) for each in comparisons_of(found)] in (
        [["baseline"], ["ADA"]],
        [["ADA"], ["baseline"]],
    )


def test_a_run_of_two_labels_is_two_methods(tmp_path):
    """It counts once under each: two rows of one run, ranked and averaged as two methods."""
    own, other = spec("ada"), spec("ada", 1)
    for each in (own, other):
        again = dataclasses.replace(each, labels=dataclasses.replace(each.labels, method="ada-again"))
        write_spec(tmp_path / "demo", each, again)
    found = entries(
        tmp_path, [row("ada", 0, "fd", 1.0, 5.0), row("ada", 1, "fd", 1.0, 7.0), row("none", 0, "fd", 1.0, 9.0)]
    )
    assert len({entry.id for entry in found}) == 5
    runs = {method: sorted(entry.run for entry in found if entry.method == method) for method in TITLES}
    assert runs == {**dict.fromkeys(TITLES[:2], sorted([own.run_id, other.run_id])), "baseline": [spec("none").run_id]}
    (comparison,) = comparisons_of(found)
    shown = [(method, score.n, score.text) for method, score in comparison.best_first]
    assert shown == [(TITLES[0], 2, "6.00 ± 1.41"), (TITLES[1], 2, "6.00 ± 1.41"), ("baseline", 1, "9.00")]
    assert sorted(entry.rank for entry in found) == [1, 1, 3, 3, 5]


TITLES = ["ADA", "ADA (ada-again)", "baseline"]


def test_an_opened_row_tells_arithmetic_origin_and_methods(tmp_path):
    origin = {
        "tf32": False,
        "half_type": "bfloat16",
        "dataset_sha256": "aa" * 32,
        "subset_digest": "bb" * 32,
        "parent_sha256": None,
        "earlier_commits": ["aaaa", "bbbb"],
        "methods": [
            {"name": "ada", "code_sha256": "cc" * 32, "home": "project"},
            {"name": "mine", "code_sha256": "dd" * 32, "home": "package theirs 1.2"},
        ],
    }
    rows = [
        row("ada", 0, "fd", kimg, value, snapshot_sha256=digest, provenance=origin)
        for kimg, value, digest in ((1.0, 5.0, "11" * 32), (2.0, 6.0, "22" * 32))
    ]
    (entry,) = entries(tmp_path, rows)
    facts = dict(entry.facts)
    assert len(facts) == len(entry.facts)
    assert facts["training arithmetic"] == "float32, TF32 off; 16-bit layers in bfloat16"
    assert facts["begun under"] == "aaaa, bbbb"
    assert facts["data set's sha256"] == "aa" * 32 and facts["digest of the training images"] == "bb" * 32
    assert not any("started from" in label for label in facts)
    assert facts["method ada"] == f"project, code's sha256 {'cc' * 32}"
    assert facts["method mine"] == f"package theirs 1.2, code's sha256 {'dd' * 32}"
    assert (facts["best snapshot's sha256"], facts["final snapshot's sha256"]) == ("11" * 32, "22" * 32)
    assert "a method from outside this project: mine (package theirs 1.2)" in entry.standing.shortfalls
    origin |= {"tf32": True, "half_type": "none", "parent_sha256": "ee" * 32}
    (other,) = entries(
        tmp_path / "other", [row("ada", 0, "fd", 1.0, 5.0, snapshot_sha256="11" * 32, provenance=origin)]
    )
    facts = dict(other.facts)
    assert facts["training arithmetic"] == "float32, TF32 on; no 16-bit layers" and "features" not in facts
    assert facts["sha256 of the networks it started from"] == "ee" * 32 and facts["snapshot's sha256"] == "11" * 32


def test_features_computed_in_tf32_are_shown(tmp_path):
    (entry,) = entries(tmp_path, [row("ada", 0, "fd", 1.0, 5.0, protocol={"tf32": True})])
    assert dict(entry.facts)["features"] == "computed in TF32"


def test_a_submission_that_states_no_arithmetic_of_features_ranks_with_those_without_tf32(tmp_path):
    stated = {"tf32": False}
    rows = [row("none", 0, "fd", 1.0, 9.0, protocol=stated), row("ada", 0, "fd", 1.0, 5.0)]
    assert sorted(entry.rank for entry in entries(tmp_path, rows)) == [1, 2]


@pytest.mark.parametrize("others", [[], [failed_row("bcr", 0, "skip", "needs labels", provenance=NOTHING)]])
def test_a_row_of_changed_code_says_so_whatever_rows_lie_beside_it(tmp_path, others):
    changed = row("ada", 0, "fd", 1.0, 5.0, provenance={"dirty": True})
    found = entries(tmp_path, [changed, *others])
    (entry,) = (entry for entry in found if entry.method == "ADA")
    assert "code that no commit describes" in entry.standing.shortfalls
    assert dict(entry.facts)["changes beyond the commit"] == "yes"


def test_methods_of_one_title_are_told_apart(tmp_path):
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("ada-tuned", 0, "fd", 1.0, 4.0, method_title="ADA")]
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


def test_a_method_that_trains_by_the_measuring_network_has_no_rank_and_beats_none(tmp_path):
    """In its features alone; a run that starts from such a run, and a submitted one by its name, are alike."""
    child = spec("da", plugins=[("transfer", {"run": "one"}), ("ada", {})], parent=spec("projected"), revisions={})
    fid = {"proxy": False, "protocol": {"name": "ada", "extractor": "inception_v3"}}
    rows = [
        row("none", 0, "fd", 1.0, 9.0),
        row("projected", 0, "fd", 1.0, 1.0),
        row("projected", 0, "fid", 1.0, 1.0, **fid),
        row("da", 0, "fd", 1.0, 2.0, of=child),
        row("projected", 1, "fd", 1.0, 1.0, source="submitted", submitted_by="A. Author"),
        row("someone's", 1, "fd", 1.0, 3.0, source="submitted", submitted_by="A. Author"),
    ]
    write_spec(tmp_path / "demo", child)
    found = rank(measured_entries(collect(write_rows(tmp_path / "demo", rows)), tmp_path / "demo" / "rows"))
    by = {(entry.method_name, entry.source, entry.proxy): entry for entry in found}
    ranks = {key: (entry.rank, entry.rank_of) for key, entry in by.items()}
    assert ranks == {
        ("none", "measured", True): (1, 1), ("projected", "measured", True): (None, None),
        ("projected", "measured", False): (1, 1), ("da", "measured", True): (None, None),
        ("projected", "submitted", True): (None, None), ("someone's", "submitted", True): (1, 1),
    }  # fmt: skip
    assert {key for key, entry in by.items() if entry.doubt} == {key for key, (place, _) in ranks.items() if not place}
    assert by["projected", "measured", True].best == 1.0
    for comparison in comparisons_of(found):
        record = comparison.record()
        assert "projected" not in record["ahead"] or record["ahead"]["projected"] == []
