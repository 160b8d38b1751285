"""Whether measured means stand in the papers' order: claims, verdicts by hand-made values, the words of captions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leangan.artefacts import captions
from leangan.artefacts.agreement import claims, summary
from leangan.artefacts.artefact import load_artefact
from leangan.core.errors import ConfigError
from leangan.results.collect import collect
from leangan.runs import config
from tests.helpers.papers import number
from tests.helpers.synthetic import ARTEFACT, content_of, row, spec, write_rows

EXPECTED = {"better": ["diffaugment-tc", "ada"], "worse": ["none"], "source": "fig. 1"}
# Mean 100 and sample deviation 2.
NONE = [98.0, 100.0, 102.0]


def planned(methods=("none", "diffaugment-tc", "da", "ada"), images=32, seeds=3):
    return [spec(method, seed, images=images) for method in methods for seed in range(seeds)]


def rows_of(values, family="fd", images=32, **changes):
    """The rows of each method's seeds: each value at the middle of three snapshots, worse ones around it."""
    higher = family == "recall"
    worse = (lambda value: value / 2) if higher else (lambda value: value * 2)
    return [
        row(method, seed, family, kimg, at, of=spec(method, seed, images=images), **changes)
        for method, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
        for kimg, at in ((1.0, worse(value)), (2.0, value), (3.0, worse(value)))
    ]


@pytest.fixture
def project(tmp_path):
    def make(rows, specs, published=(), **content):
        results = collect(write_rows(tmp_path, rows))
        stated = content_of(**{"layout": {"metrics": ["fd"]}, **content})
        return load_artefact("demo", stated, specs, results, published)

    return make


def verdicts(artefact):
    return {(claim.better, claim.column.setting["images"]): claim.verdict for claim in claims(artefact)}


@pytest.mark.parametrize(
    "ada, verdict",
    [
        ([92.0, 94.0, 96.0], "yes"),  # 94 ± 2: apart by 6, deviations sum to 4
        ([94.0, 96.0, 98.0], "open"),  # 96 ± 2: apart by 4, which is their sum
        ([102.0, 104.0, 106.0], "open"),
        ([104.0, 106.0, 108.0], "no"),
        ([80.0, 95.0, 110.0], "open"),  # 95 ± 15
        ([50.0], "open"),  # one seed
        ([150.0], "open"),
        ([50.0, 50.0], "yes"),  # 50 ± 0 of two
        ([], "open"),  # unmeasured
    ],
)
def test_a_claim_holds_beyond_the_sum_of_both_deviations(project, ada, verdict):
    artefact = project(rows_of({"none": NONE, "ada": ada}), planned(), expectation={**EXPECTED, "better": ["ada"]})
    assert verdicts(artefact) == {("ada", 32): verdict}


@pytest.mark.parametrize(("ada", "verdict"), [([0.7, 0.8, 0.9], "yes"), ([0.1, 0.2, 0.25], "no")])
def test_where_more_is_better_the_larger_mean_is(project, ada, verdict):
    rows = rows_of({"none": [0.39, 0.4, 0.41], "ada": ada}, "recall")
    artefact = project(rows, planned(), layout={"metrics": ["recall"]}, expectation={**EXPECTED, "better": ["ada"]})
    assert verdicts(artefact) == {("ada", 32): verdict}


def test_the_best_snapshots_are_compared_not_the_last(project):
    """ADA is better at its best and worse at its end."""
    rows = rows_of({"none": NONE, "ada": [80.0, 81.0, 82.0]})
    rows += [row("ada", seed, "fd", 4.0, 500.0, of=spec("ada", seed)) for seed in range(3)]
    artefact = project(rows, planned(), expectation={**EXPECTED, "better": ["ada"]})
    assert artefact.columns[0].finished_runs("ada")[0].final == 500 and verdicts(artefact) == {("ada", 32): "yes"}


def test_an_expectation_is_claimed_in_every_column_of_the_first_metric(project):
    rows = rows_of({"none": NONE, "diffaugment-tc": [80.0, 81.0, 82.0], "ada": [99.0, 100.0, 101.0]})
    rows += rows_of({"none": NONE, "ada": [120.0, 121.0, 122.0]}, images=64)
    rows += rows_of({"none": [0.1, 0.1], "ada": [0.9, 0.9]}, "recall")
    artefact = project(
        rows, [*planned(), *planned(images=64)], layout={"metrics": ["fd", "recall"]}, expectation=EXPECTED
    )
    assert verdicts(artefact) == {
        ("diffaugment-tc", 32): "yes", ("ada", 32): "open", ("diffaugment-tc", 64): "open", ("ada", 64): "no",
    }  # fmt: skip
    assert summary(claims(artefact)) == "no (1 of 4 against)"


def test_methods_that_a_scale_leaves_out_are_claimed_nothing_of(project):
    artefact = project(rows_of({"none": NONE}), planned(("none", "ada")), expectation=EXPECTED)
    assert verdicts(artefact) == {("ada", 32): "open"}
    assert summary(claims(project(rows_of({"none": NONE}), planned(("none",)), expectation=EXPECTED))) == "–"


@pytest.mark.parametrize(
    "stated, words",
    [
        ({"yes": 3}, "yes (3 of 3)"),
        ({"yes": 1, "open": 2}, "open (1 of 3, none against)"),
        ({"yes": 2, "no": 1}, "no (1 of 3 against)"),
        ({"open": 3}, "open (0 of 3, none against)"),
        ({}, "–"),
    ],
)
def test_all_claims_in_a_few_words(project, stated, words):
    (claim,) = claims(project(rows_of({"none": NONE}), planned(("none", "ada")), expectation=EXPECTED))
    found = [replace(claim, verdict=verdict) for verdict, count in stated.items() for _ in range(count)]
    assert summary(found) == words


PAPER = {
    "where": {"paper": "P"},
    "methods": {"none": "plain", "diffaugment-tc": "aug", "da": "fixed", "ada": "adaptive"},
}


def line(table, method, value, images=32, **changes):
    like = {"dataset": "elpv-mono", "train_images": str(images), "protocol": "fid1k", "fakes": 1000}
    return number(artefact=table, method=method, value=str(value), **{**like, **changes})


def claims_of_paper(project, published, values):
    rows = rows_of(values, "fid", proxy=False, protocol={"extractor": "inception_v3"})
    found = claims(project(rows, planned(), published, layout={"metrics": ["fid"], "published": PAPER}))
    return {(claim.better, claim.worse): claim.verdict for claim in found}


def test_published_numbers_of_one_table_are_claims(project):
    published = [line("Table 1", "plain", 40), line("Table 1", "aug", 20), line("Table 1", "adaptive", 10)]
    values = {"none": NONE, "diffaugment-tc": [110.0, 111.0, 112.0], "ada": [50.0, 51.0, 52.0]}
    assert claims_of_paper(project, published, values) == {
        ("diffaugment-tc", "none"): "no", ("ada", "none"): "yes", ("ada", "diffaugment-tc"): "yes",
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        line("Table 2", "adaptive", 10),
        line("Table 1", "adaptive", 10, protocol="fid1k of another set"),
        line("Table 1", "adaptive", 10, verified="no"),
        line("Table 1", "adaptive", 40),
        line("Table 1", "adaptive", 37, std="3.5"),
        line("Table 1", "adaptive", 10, images=64),
    ],
)
def test_numbers_that_the_paper_does_not_set_apart_are_no_claim(project, other):
    plain = line("Table 1", "plain", 40, std="0.5")
    values = {"none": NONE, "ada": [50.0, 51.0, 52.0]}
    assert claims_of_paper(project, [plain, other], values) == {}
    assert claims_of_paper(project, [plain, line("Table 1", "adaptive", 35.9, std="3.5")], values) == {
        ("ada", "none"): "yes"
    }


def test_a_caption_says_what_was_measured_of_an_expectation_in_each_column(project):
    rows = rows_of({"none": NONE, "diffaugment-tc": [80.0, 81.0, 82.0], "ada": [99.0, 100.0, 101.0]})
    one = project(rows, planned(), expectation=EXPECTED)
    assert (
        "fig. 1: DiffAugment and ADA are better than baseline. Measured, 32 images: DiffAugment yes, ADA open. "
        "Yes and no stand for a difference beyond the sum of both standard deviations"
    ) in captions.caption(one)
    rows += rows_of({"none": NONE, "ada": [120.0, 121.0, 122.0]}, images=64)
    several = project(rows, [*planned(), *planned(images=64), *planned(images=128)], expectation=EXPECTED)
    caption = captions.caption(several)
    assert "Measured, 32 images: DiffAugment yes, ADA open; 64 images: DiffAugment open, ADA no. Yes" in caption
    titled = project(rows, planned(), expectation=EXPECTED, grid=[{**ARTEFACT["grid"], "title": "All"}])
    assert "DiffAugment yes, ADA open" in captions.caption(titled)


def test_against_several_methods_one_that_is_better_is_enough_for_no(project):
    values = {"none": NONE, "da": [60.0, 61.0, 62.0], "ada": [80.0, 81.0, 82.0], "diffaugment-tc": [50.0, 51.0, 52.0]}
    both = {**EXPECTED, "worse": ["none", "da"]}
    caption = captions.caption(project(rows_of(values), planned(), expectation=both))
    assert (
        "DiffAugment and ADA are better than baseline and DA. Measured, 32 images: DiffAugment yes, ADA no." in caption
    )
    only = {**both, "better": ["ada"], "worse": ["none", "diffaugment-tc", "da"]}
    caption = captions.caption(project(rows_of({**values, "da": [81.0]}), planned(), expectation=only))
    assert "fig. 1: ADA is better than baseline, DiffAugment and DA. Measured, 32 images: ADA no." in caption


def test_captions_without_an_expectation_or_a_run_claim_no_measurement(project):
    assert "better than" not in captions.caption(project(rows_of({"none": NONE, "ada": NONE}), planned()))
    other = rows_of({"none": NONE}, images=999)
    caption = captions.caption(project(other, planned(), expectation=EXPECTED))
    assert caption.endswith("No run has finished. fig. 1: DiffAugment and ADA are better than baseline.")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"better": ["adaa"]}, ["unknown method 'adaa'", "'ada'", "expectation.better of config/artefacts/demo.yaml"]),
        ({"worse": ["nine"]}, ["unknown method 'nine'", "'none'", "expectation.worse of config/artefacts/demo.yaml"]),
        ({"worse": ["ada"]}, ["unknown method 'ada'", "Known: da, none", "expectation.worse"]),
        ({"worse": []}, ["expectation.worse = []", "config/artefacts/demo.yaml"]),
        ({"worse": "none"}, ["expectation.worse = 'none' must be a list"]),
        ({"beter": ["ada"]}, ["'expectation.beter'", "'expectation.better'"]),
    ],
)
def test_an_expectation_of_other_methods_is_refused(monkeypatch, change, words):
    refused({"expectation": {**EXPECTED, **change}}, words, monkeypatch)


def test_an_expectation_says_its_source_and_stands_beside_no_published_numbers(monkeypatch):
    unsourced = {key: EXPECTED[key] for key in ("better", "worse")}
    refused({"expectation": unsourced}, ["config/artefacts/demo.yaml lacks source under expectation"], monkeypatch)
    both = {"expectation": EXPECTED, "layout": {"metrics": ["fd"], "published": PAPER}}
    refused(both, ["config/artefacts/demo.yaml", "leave out `expectation` or `layout.published`"], monkeypatch)


def refused(changes, words, monkeypatch):
    original = config.read
    changed = {**original("config/artefacts/demo.yaml"), **changes}
    monkeypatch.setattr(config, "read", lambda name: changed if name.endswith("demo.yaml") else original(name))
    with pytest.raises(ConfigError) as error:
        config.artefact.__wrapped__("demo")
    for word in words:
        assert word.lower() in str(error.value).lower()


def test_a_method_that_trains_by_the_measuring_network_leaves_claims_open(project):
    stated = {"better": ["projected"], "worse": ["none"], "source": "fig. 1"}
    rows = rows_of({"none": NONE, "projected": [1.0, 2.0, 3.0]})
    artefact = project(rows, planned(("none", "projected")), expectation=stated)
    assert verdicts(artefact) == {("projected", 32): "open"}
    words = "deviations, open for a smaller one, a single seed or a number that is not ranked."
    assert words in captions.caption(artefact)


def test_captions_give_that_reason_where_a_number_is_not_ranked_alone(project):
    artefact = project(rows_of({"none": NONE, "ada": NONE}), planned(), expectation=EXPECTED)
    assert "deviations, open for a smaller one or a single seed." in captions.caption(artefact)
