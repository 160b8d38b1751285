"""Runs that differ in more than the seed are not seeds of one mean, wherever the page shows numbers together."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from leangan.leaderboard import page
from leangan.leaderboard.comparison import comparisons_of
from leangan.leaderboard.entry import rank
from leangan.leaderboard.measured_entries import measured_entries
from leangan.leaderboard.set_ups import values_of
from leangan.leaderboard.size_pictures import size_pictures
from leangan.results.collect import collect
from leangan.runs.methods import bind_all
from tests.helpers.synthetic import SPECS, row, spec, write_rows, write_spec


def ada(seed=0, images=32, **arguments):
    """A run of ADA with these arguments, of which the project's artefact `demo` has target 0.4 and tune_kimg 16."""
    return spec("ada", seed, images=images, plugins=bind_all([("ada", arguments)]))


PLAIN, DEMO = {}, {"target": 0.4, "tune_kimg": 16}
TITLES = ["ADA (ada.target 0.4, ada.tune_kimg 16)", "ADA (ada.target 0.6, ada.tune_kimg 500)"]


@pytest.fixture
def entries(tmp_path):
    """A function (specs with their values, whether spec.json lies there) -> entries of the page.

    `origins` are what the provenance of each run states beside.
    """

    def make(values, stated=lambda spec: True, changes=None, origins=None, measured=("fd", 24.0)):
        folder = tmp_path / "demo"
        rows = [
            row(each.method, each.seed, *measured, value, of=each, provenance=origin, **(changes or {}))
            for (each, value), origin in zip(values, origins or [{}] * len(values), strict=True)
        ]
        write_rows(folder, rows)
        for each, _ in values:
            if stated(each):
                write_spec(folder, each)
        return rank(measured_entries(collect([folder / "rows"]), folder / "rows"))

    return make


def scores(found):
    """Title -> (mean, number of seeds) of all comparisons that the page shows."""
    comparisons = comparisons_of(found)
    return [{title: (score.mean, score.n) for title, score in each.scores.items()} for each in comparisons]


def test_two_configurations_of_ada_at_one_seed_are_no_two_seeds(entries):
    found = entries([(ada(**PLAIN), 30.0), (ada(**DEMO), 50.0), (spec("none"), 60.0)])
    assert scores(found) == [{TITLES[0]: (50.0, 1), TITLES[1]: (30.0, 1), "baseline": (60.0, 1)}]
    assert {entry.method: entry.rank for entry in found} == {TITLES[1]: 1, TITLES[0]: 2, "baseline": 3}


def test_seeds_of_each_configuration_have_their_own_mean(entries):
    runs = itertools.product(((PLAIN, 30.0), (DEMO, 50.0)), (0, 1, 2))
    found = entries([(ada(seed, **arguments), value + seed) for (arguments, value), seed in runs])
    assert scores(found) == [{TITLES[0]: (51.0, 3), TITLES[1]: (31.0, 3)}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subset_seed": 1}, ("subset_seed 0", "subset_seed 1")),
        ({"subset_rule": "first"}, ("subset_rule permutation", "subset_rule first")),
        ({"validation_images": 0}, ("validation_images 500", "validation_images 0")),
        ({"snapshot_kimg": 3.0}, (f"snapshot_kimg {SPECS[0].snapshot_kimg:g}", "snapshot_kimg 3")),
        ({"tf32": True}, ("tf32 false", "tf32 true")),
        ({"hyper": {**spec("none").hyper, "r1_gamma": 0.1}}, ("r1_gamma 0.05", "r1_gamma 0.1")),
    ],
)
def test_what_else_differs_stands_in_the_title(entries, change, words):
    found = entries([(spec("none"), 30.0), (spec("none", **change), 50.0), (spec("none", 1), 40.0)])
    assert scores(found) == [{f"baseline ({words[0]})": (35.0, 2), f"baseline ({words[1]})": (50.0, 1)}]


def revised(method, seed=0, images=32, **revisions):
    return dataclasses.replace(spec(method, seed), images=images, revisions=revisions)


def test_runs_of_two_revisions_are_no_seeds_of_one_mean(entries):
    found = entries([(revised("ada", 0, ada=1), 30.0), (revised("ada", 1, ada=1), 40.0), (revised("ada", 2), 50.0)])
    assert scores(found) == [{"ADA (revision of ada 0)": (50.0, 1), "ADA (revision of ada 1)": (35.0, 2)}]


def test_runs_of_two_revisions_are_no_one_line_over_sizes(entries):
    found = entries([(revised("ada", images=64, ada=1), 30.0), (revised("ada"), 50.0)])
    assert {entry.images: entry.method for entry in found} == {
        64: "ADA (revision of ada 1)", 32: "ADA (revision of ada 0)"
    }  # fmt: skip


def test_the_revision_of_a_backbone_stands_in_the_title_of_each_method(entries):
    found = entries([(revised("none", stylegan2=2), 30.0), (revised("none"), 40.0)])
    assert {entry.best: entry.method for entry in found} == {
        30.0: "baseline (revision of stylegan2 2)", 40.0: "baseline (revision of stylegan2 0)"
    }  # fmt: skip


def test_runs_of_one_set_up_keep_their_title(entries):
    found = entries([(spec("ada", seed), 30.0 + seed) for seed in range(3)])
    assert scores(found) == [{"ADA": (31.0, 3)}]


def test_without_specs_the_titles_end_with_the_settings_digits(entries):
    plain, demo = ada(**PLAIN), ada(**DEMO)
    found = entries([(plain, 30.0), (demo, 50.0)], stated=lambda spec: False)
    assert {entry.method: entry.best for entry in found} == {
        f"ADA ({plain.setting[:8]})": 30.0, f"ADA ({demo.setting[:8]})": 50.0
    }  # fmt: skip


def test_of_one_with_a_spec_and_one_without_neither_passes_for_the_other(entries):
    plain, demo = ada(**PLAIN), ada(**DEMO)
    found = entries([(plain, 30.0), (demo, 50.0)], stated=lambda spec: spec == demo)
    assert len(scores(found)) == 1 and {each for ((each, _),) in zip(scores(found)[0].values())} == {30.0, 50.0}


def test_lengths_that_are_compared_nowhere_need_no_title(entries):
    short, long = (spec("none", total_kimg=kimg) for kimg in (12.0, 24.0))
    found = entries([(short, 30.0), (long, 50.0)])
    assert sorted(score["baseline"] for score in scores(found)) == [(30.0, 1), (50.0, 1)]
    assert {entry.method for entry in found} == {"baseline"}


def test_full_reproductions_of_two_lengths_are_no_seeds_of_one_mean(entries):
    """They are ranked together, whatever their lengths."""
    protocol = {"name": "ada", "extractor": "inception_v3"}
    changes = {"proxy": False, "n_fake": 50000, "published_kimg": 12.0, "protocol": protocol}
    citation = {"citation": "arXiv:0", "full_kimg": 12.0}
    runs = [
        dataclasses.replace(each, labels=dataclasses.replace(each.labels, **citation))
        for each in (spec("none", total_kimg=kimg) for kimg in (12.0, 24.0))
    ]
    found = entries([(runs[0], 30.0), (runs[1], 50.0)], changes=changes, measured=("fid", 24.0))
    assert {entry.standing.ranking for entry in found} == {"full"}
    assert scores(found) == [{"baseline (total_kimg 12)": (30.0, 1), "baseline (total_kimg 24)": (50.0, 1)}]


def points_of(picture):
    """Title -> the means of its line, smallest set of images first."""
    return {line.title: [score.mean for _, score, _, _ in line.points] for line in picture.lines}


def test_a_line_over_sizes_keeps_to_one_configuration(entries):
    """Where two meet at one size, and where each size has another one."""
    found = entries([(ada(images=32, **PLAIN), 30.0), (ada(images=32, **DEMO), 50.0), (ada(images=64, **DEMO), 40.0)])
    (picture,) = size_pictures(comparisons_of(found))
    assert points_of(picture) == {
        TITLES[0]: [50.0, 40.0], TITLES[1]: [30.0]
    }  # fmt: skip
    assert len({line.look for line in picture.lines}) == 2


def test_a_line_over_sizes_never_joins_two_configurations(entries):
    found = entries([(ada(images=32, **PLAIN), 30.0), (ada(images=64, **DEMO), 40.0)])
    (picture,) = size_pictures(comparisons_of(found))
    assert {line.title for line in picture.lines} == set(TITLES)


def test_the_same_goes_for_what_a_run_starts_from(entries):
    """Parents have the seed of their runs, and so another id for each: that is no other set-up."""

    def started(seed, images):
        parent = spec("none", seed, images=images)
        parts = bind_all([("transfer", {"run": parent.run_id})])
        return spec("transfer", seed, plugins=parts, parent=parent)

    found = entries([(started(seed, images), float(images + seed)) for seed in (0, 1) for images in (100, 200)])
    ((setting),) = scores(found)
    assert {title.split(" (", 1)[1]: score for title, score in setting.items()} == {
        "parent.images 100)": (100.5, 2), "parent.images 200)": (200.5, 2)
    }  # fmt: skip


def test_claims_without_a_setting_are_of_one_set_up_unless_a_seed_comes_twice(entries):
    claimed = {"source": "submitted", "submitted_by": "A. Author", "setting": None}
    runs = [(spec("ada", seed), 30.0 + seed) for seed in range(2)]
    assert scores(entries(runs, lambda spec: False, claimed)) == [{"ADA": (30.5, 2)}]
    again = ada(0, **PLAIN)
    (found,) = scores(entries([*runs, (again, 50.0)], lambda spec: False, claimed))
    assert found == {f"ADA ({each.run_id.split('/')[1]})": (value, 1) for each, value in [*runs, (again, 50.0)]}


A, B, C = "1a2b3c4d" * 8, "5e6f7a8b" * 8, "9c0d1e2f" * 8


def of_code(digest, method="ada"):
    return {"methods": [{"name": method, "code_sha256": digest, "home": "project"}]}


@pytest.mark.parametrize("with_spec", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"dataset_sha256": A}, {"dataset_sha256": B}, ("data 1a2b3c4d", "data 5e6f7a8b")),
        ({"subset_digest": A}, {"subset_digest": B}, ("training images 1a2b3c4d", "training images 5e6f7a8b")),
        (of_code(A), of_code(B), ("code of ada 1a2b3c4d", "code of ada 5e6f7a8b")),
        ({"tf32": True}, {"tf32": False}, ("TF32 on", "TF32 off")),
        ({"half_type": "bfloat16"}, {"half_type": "none"}, ("16-bit layers in bfloat16", "no 16-bit layers")),
        (
            {"dataset_sha256": A, "subset_digest": A, **of_code(A)},
            {"dataset_sha256": B, "subset_digest": B, **of_code(B)},
            ("data 1a2b3c4d, code of ada 1a2b3c4d", "data 5e6f7a8b, code of ada 5e6f7a8b"),
        ),
    ],
)
def test_runs_of_one_setting_and_two_origins_are_not_seeds_of_one_mean(entries, first, second, words, with_spec):
    runs = [(spec("ada", seed), value) for seed, value in enumerate((30.0, 32.0, 50.0))]
    found = entries(runs, lambda spec: with_spec, origins=[first, first, second])
    assert scores(found) == [{f"ADA ({words[0]})": (31.0, 2), f"ADA ({words[1]})": (50.0, 1)}]
    same = entries(runs, lambda spec: with_spec, origins=[first] * 3)
    assert [list(setting) for setting in scores(same)] == [["ADA"]]


def test_a_title_says_what_differs_in_the_setting_and_in_the_origin(entries):
    runs = [(ada(0, **PLAIN), 30.0), (ada(0, **DEMO), 50.0), (ada(1, **DEMO), 60.0)]
    found = entries(runs, origins=[of_code(A), of_code(A), of_code(B)])
    assert scores(found) == [
        {
            f"{TITLES[0][:-1]}, code of ada 1a2b3c4d)": (50.0, 1),
            f"{TITLES[0][:-1]}, code of ada 5e6f7a8b)": (60.0, 1),
            f"{TITLES[1][:-1]}, code of ada 1a2b3c4d)": (30.0, 1),
        }
    ]


def test_methods_of_two_data_sets_under_one_name_say_so(entries):
    runs = [(spec("ada"), 30.0), (spec("none"), 50.0)]
    data = [{"dataset_sha256": A, **of_code(A)}, {"dataset_sha256": B, **of_code(B, "none")}]
    assert scores(entries(runs, origins=data)) == [
        {"ADA (data 1a2b3c4d)": (30.0, 1), "baseline (data 5e6f7a8b)": (50.0, 1)}
    ]


def test_images_and_code_differ_between_sizes_and_methods_as_they_should(entries):
    runs = [(spec(name, seed, images=n), 30.0) for name in ("ada", "none") for n in (32, 64) for seed in (0, 1)]
    origins = [
        {
            "dataset_sha256": A,
            "subset_digest": A if each.images == 32 else B,
            "tf32": False,
            "half_type": "none",
            **of_code(B if each.method == "ada" else C, each.method),
        }
        for each, _ in runs
    ]
    assert {entry.method for entry in entries(runs, origins=origins)} == {"ADA", "baseline"}


def test_a_line_over_sizes_never_joins_two_states_of_a_method(entries):
    runs = [(spec("ada", images=32), 30.0), (spec("ada", images=64), 40.0)]
    (picture,) = size_pictures(comparisons_of(entries(runs, origins=[of_code(A), of_code(B)])))
    assert {line.title for line in picture.lines} == {"ADA (code of ada 1a2b3c4d)", "ADA (code of ada 5e6f7a8b)"}


def test_a_line_over_sizes_keeps_to_one_arithmetic(entries):
    runs = [(spec("ada", 0, images=32), 30.0), (spec("ada", 1, images=32), 50.0), (spec("ada", 0, images=64), 40.0)]
    halves = [{"half_type": half} for half in ("bfloat16", "none", "bfloat16")]
    (picture,) = size_pictures(comparisons_of(entries(runs, origins=halves)))
    assert points_of(picture) == {
        "ADA (16-bit layers in bfloat16)": [30.0, 40.0], "ADA (no 16-bit layers)": [50.0]
    }  # fmt: skip


def test_an_origin_counts_as_far_as_it_is_stated(entries):
    runs = [(spec("ada", seed), 30.0 + seed) for seed in range(3)]
    origins = [{"dataset_sha256": A}, {"dataset_sha256": None, "tf32": False}, {}]
    assert scores(entries(runs, origins=origins)) == [{"ADA": (31.0, 3)}]


def test_claims_without_a_setting_are_told_apart_by_the_origin_that_they_state(entries):
    claimed = {"source": "submitted", "submitted_by": "A. Author", "setting": None}
    runs = [(spec("ada", seed), 30.0 + seed) for seed in range(3)]
    found = entries(runs, lambda spec: False, claimed, [of_code(A), of_code(A), of_code(B)])
    assert scores(found) == [{"ADA (code of ada 1a2b3c4d)": (30.5, 2), "ADA (code of ada 5e6f7a8b)": (32.0, 1)}]


def test_files_are_named_by_their_content():
    def started(file, digest):
        return spec("transfer", plugins=bind_all([("transfer", {"checkpoint": {"file": file, "sha256": digest}})]))

    texts = {values_of(started(file, A))["transfer.checkpoint"] for file in ("here.pt", "there.pt")}
    assert texts == {"1a2b3c4d"} != {values_of(started("here.pt", B))["transfer.checkpoint"]}


def test_the_page_names_both_everywhere(entries, tmp_path):
    found = entries([(ada(**PLAIN), 30.0), (ada(**DEMO), 50.0)])
    html = page.render(page.sort_entries(found))
    for title in TITLES:
        assert html.count(f"{title}</button>") == 1 and f'<th scope="row">{title}</th>' in html
    assert "± " not in html.split("Measured: mean over seeds")[1].split("</section>")[0].replace("Mean ± sample", "")


@pytest.mark.parametrize("other, winners", [(50.0, 1), (31.5, 0)])
def test_the_page_marks_the_best_mean_only_where_spreads_do_not_overlap(entries, other, winners):
    """Of 30 and 32, and of two values as far apart: deviations of 1.41 each."""
    found = entries([(ada(seed), 30.0 + 2 * seed) for seed in (0, 1)]
                    + [(spec("none", seed), other + 2 * seed) for seed in (0, 1)])  # fmt: skip
    assert page.render(page.sort_entries(found)).count('<tr class="winner"><th scope="row">ADA</th>') == winners
    assert page.render(page.sort_entries(found)).count('class="winner"') == winners


def test_printed_values_are_those_of_the_spec():
    values = values_of(ada(**DEMO))
    assert (values["ada.target"], values["ada.tune_kimg"], values["betas"]) == ("0.4", "16", "[0, 0.99]")
    assert (values["mirror"], values["ema_ramp"], values["plugins"]) == ("true", "null", "ada")
    assert "seed" not in values and json.loads(values["images"]) == 32
