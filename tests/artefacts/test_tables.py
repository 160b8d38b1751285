from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.captions import caption
from leangan.artefacts.figures import curves
from leangan.artefacts.table_formats import Cell, Table, latex, latex_escape, markdown
from leangan.artefacts.tables import build_table, measure_table
from leangan.core.errors import ConfigError
from leangan.results.collect import collect
from tests.helpers.papers import number
from tests.helpers.synthetic import (
    ARTEFACT,
    SEEDS,
    SPECS,
    content_of,
    failed_row,
    lacking_row,
    measured_rows,
    row,
    spec,
    write_rows,
)

FD = "fd1k_full_efficientnet_lite0"
PUBLISHED = [
    number(std="0.3", std_verified="yes"),
    number(family="kid", value="4.5"),
    number(method="aug", value="9.25", fakes=50000),
    number(method="adaptive", value="8.0", verified="no"),
    number(artefact="Table 2", value="8.32", std="0.09", std_verified="no"),
    number(artefact="Table 3", value="7.5", reference="full"),
    number(artefact="Table 4", value="7.5", reference="test"),
]


@pytest.fixture
def project(tmp_path):
    """Loads an artefact of the planned runs `specs` from rows, with changes to its YAML."""

    def make(rows, specs=SPECS, **changes):
        results = collect(write_rows(tmp_path, rows))
        return load_artefact("demo", content_of(**changes), specs, results, PUBLISHED, fakes=1000)

    make.folder = tmp_path
    return make


NO_LOGS = Path("none")
"""Of tables without columns from the training logs."""


def print_table(artefact):
    return build_table(artefact, measure_table(artefact, NO_LOGS))


INCEPTION = {"proxy": False, "n_fake": 10000, "protocol": {"extractor": "inception_v3"}}
TOY = [spec(method, dataset="toy", images=128) for method in ("none", "diffaugment-tc", "ada")]


def inception(method, family="fid", value=11.0):
    """A row of an Inception metric on the data set `toy`."""
    (run,) = (each for each in TOY if each.method == method)
    return row(method, 0, family, 1.0, value, of=run, **INCEPTION)


def relabelled(spec, **labels):
    return replace(spec, labels=replace(spec.labels, **labels))


def test_caption_states_the_protocol_and_that_a_proxy_is_one(project):
    words = caption(project(measured_rows()))
    assert "FD (EfficientNet-Lite0), Precision" in words and "a proxy, not FID" in words
    assert "1,000 generated images against the full set (2,624 images)" in words
    assert "96 px (bicubic), torch-fidelity 0.4.0" in words and f"over {len(SEEDS)} seeds" in words
    assert "after 20 kimg" in words and "Bold: ahead of every other by more than the sum" in words


def test_a_caption_leaves_out_how_many_reals_there_were_where_rows_do_not_say(project):
    rows = [row("none", 0, "fd", 1.0, 5.0, n_real=None)]
    assert "1,000 generated images against the full set, Eff" in caption(project(rows, layout={"metrics": ["fd"]}))


def test_methods_without_a_number_show_why(project):
    rows = [
        *measured_rows(),
        failed_row("bcr", 0, "skip", "needs labels"),
        failed_row("da", 9, "diverged", "loss_d is nan"),
    ]
    artefact = project(rows, [*SPECS, spec("bcr"), spec("da", 9)])
    table = print_table(artefact)
    cells = {method: row_cells[0] for method, row_cells in table.rows}
    assert cells["bcr"].text == "skip" and table.notes[int(cells["bcr"].note) - 1] == "skip: needs labels"
    assert cells["DA"].text.endswith(f"(n = {len(SEEDS)} of {len(SEEDS) + 1})")
    assert table.notes[int(cells["DA"].note) - 1] == "diverged: loss_d is nan"
    assert cells["ADA"].note == ""


@pytest.mark.parametrize(
    "ada, diffaugment, bold",
    [
        ([10.0, 12.0], [20.0, 22.0], ["ADA"]),  # 11 ± 1.41 and 21 ± 1.41
        ([10.0, 12.0], [12.0, 15.0], []),  # 2.5 apart, the deviations are 1.41 and 2.12
        ([10.0], [20.0, 22.0], []),  # one seed has no deviation
        ([10.0, 12.0], [], []),  # nothing to be better than
    ],
)
def test_bold_is_the_lowest_distance_and_the_highest_recall_unless_spreads_overlap(project, ada, diffaugment, bold):
    values = {"ada": ada, "diffaugment-tc": diffaugment}
    specs = [spec(method, seed) for method in values for seed in (0, 1)]
    rows = []
    for method, seed in ((each.method, each.seed) for each in specs):
        for value in values[method][seed : seed + 1]:
            rows.append(row(method, seed, "fd", 1.0, value))
            rows.append(row(method, seed, "recall", 1.0, 1 / value))
    artefact = project(rows, specs, layout={"metrics": ["fd", "recall"]})
    table = print_table(artefact)
    for column in range(4):
        assert [method for method, cells in table.rows if cells[column].bold] == bold


def test_a_metric_without_a_value_is_a_note_and_the_rest_of_the_table_stands(project):
    """One seed has no recall at all, another none at its last snapshot; the distances are those of all seeds."""
    specs = [spec("none", seed) for seed in (0, 1, 2)]
    rows = [row("none", seed, "fd", kimg, 10.0 + seed - kimg) for seed in (0, 1, 2) for kimg in (1.0, 2.0)]
    rows += [lacking_row("none", 0, "recall", kimg, "too few") for kimg in (1.0, 2.0)]
    rows += [row("none", 1, "recall", 1.0, 0.25), lacking_row("none", 1, "recall", 2.0, "all alike", "error")]
    rows += [row("none", 2, "recall", kimg, 0.5) for kimg in (1.0, 2.0)]
    artefact = project(rows, specs, layout={"metrics": ["fd", "recall"]})
    table = print_table(artefact)
    ((_, cells),) = table.rows
    assert [cell.text for cell in cells] == ["9.00 ± 1.00"] * 2 + ["0.500 (n = 1 of 3)"] * 2
    assert [cell.note for cell in cells] == ["", "", "1", "1"]
    assert table.notes == ["no value: too few; at 2 kimg all alike"]
    assert "no value" in markdown(table) and "nan" not in markdown(table) + latex(table)
    assert curves.draw(artefact, NO_LOGS).axes


def test_a_column_of_which_no_run_has_a_value_says_why(project):
    """The one that judges: the others have values of their last snapshots."""
    rows = [lacking_row("none", 0, "fd", 1.0, "one image"), row("none", 0, "recall", 1.0, 0.5)]
    table = print_table(project(rows, [spec("none")], layout={"metrics": ["fd", "recall"]}))
    ((_, cells),) = table.rows
    assert [cell.text for cell in cells] == ["no value", "no value", "–", "0.500"]
    assert table.notes[0] == "no value: one image" and table.notes[1].startswith("no snapshot is the best: FD")
    assert [cell.note for cell in cells] == ["1", "1", "2", "2"]
    assert "No run has a value of these metrics." in caption(project(rows[:1], [spec("none")]))


def test_only_the_planned_runs_are_in_the_table(project):
    """Neither those of another method or size, nor those of the same name under an older preset."""
    old = spec("ada", hyper={**SPECS[0].hyper, "r1_gamma": 77.0})
    smaller = spec("ada", images=64)
    rows = [*measured_rows(), row("bcr", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 1.0, 1.0, of=old),
            row("ada", 0, "fd", 1.0, 5.0, of=smaller)]  # fmt: skip
    artefact = project(rows)
    assert list(artefact.methods) == ["none", "diffaugment-tc", "da", "ada"]
    assert {run.run for column in artefact.columns for run in column.runs} == {each.run_id for each in SPECS}
    assert list(project(rows, [*SPECS, spec("bcr")]).methods)[-1] == "bcr"
    assert [column.setting["images"] for column in project(rows, [smaller]).columns] == [64]
    assert project(rows, [old]).columns[0].runs[0].best == 1.0


def test_a_planned_run_without_rows_is_not_yet_run(project):
    rows = [line for line in measured_rows() if line.method == "none" or (line.method, line.seed) == ("da", 0)]
    artefact = project(rows, [*SPECS, *(spec("none", seed, images=512) for seed in SEEDS)])
    table = print_table(artefact)
    cells = dict(table.rows)
    assert cells["ADA"][0] == Cell("not yet run")
    assert cells["DA"][0].text.endswith(f"(n = 1 of {len(SEEDS)})")
    assert table.notes == ["not yet run"] and cells["DA"][0].note == "1"
    assert [heading for heading, _ in table.groups][:2] == [
        f"FD (EfficientNet-Lite0) ↓, {SPECS[0].images} images", "FD (EfficientNet-Lite0) ↓, 512 images"
    ]  # fmt: skip
    assert cells["baseline"][2] == Cell("not yet run") and cells["ADA"][2] == Cell("–")


def test_without_any_value_the_cells_say_why(project):
    artefact = project([row("bcr", 0, "fd", 1.0, 5.0), failed_row("ada", 0, "skip", "needs labels")])
    table = print_table(artefact)
    assert [group for group, _ in table.groups] == [
        f"{name}, {SPECS[0].images} images"
        for name in ("FD (EfficientNet-Lite0) ↓", "Precision (EfficientNet-Lite0) ↑", "Recall (EfficientNet-Lite0) ↑")
    ]
    cells = dict(table.rows)
    assert {cell.text for cell in cells["baseline"]} == {"not yet run"}
    assert cells["ADA"][0].text == "skip, not yet run"
    assert table.notes == ["skip: needs labels; not yet run"] and table.caption.endswith("No run has finished.")
    assert [column.metric.name for column in artefact.columns] == [
        FD, FD.replace("fd", "precision"), FD.replace("fd", "recall")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"n_fake": 64},
        {"reference": "train", "n_real": 128},
        {"protocol": {"extractor_sha256": "cd" * 32}},
        {"protocol": {"input_px": 64}},
        {"protocol": {"tf32": True}},
    ],
)
def test_a_column_never_mixes_protocols(project, change):
    rows = [row("none", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 1.0, 5.0, **change)]
    with pytest.raises(ValueError, match="would mix"):
        project(rows, layout={"metrics": ["fd"]})


@pytest.mark.parametrize("tf32", [True, False])
def test_a_caption_says_where_features_were_computed_in_tf32(project, tf32):
    """Rows that do not say, of an earlier version or submitted, are without."""
    stated = {"protocol": {"tf32": tf32}}
    rows = [row("none", 0, "fd", 1.0, 5.0, **stated), row("ada", 0, "fd", 1.0, 5.0, **(stated if tf32 else {}))]
    artefact = project(rows, layout={"metrics": ["fd"]})
    assert ("features at 96 px (bicubic) in TF32, " in caption(artefact)) is tf32


def test_a_column_never_mixes_metrics(project):
    rows = [row("none", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 1.0, 5.0, n_fake=64)]
    with pytest.raises(ValueError, match="would mix fd1k_full.*fd64_full"):
        project(rows)


A, B = "1a2b3c4d" * 8, "5e6f7a8b" * 8


def of_code(digest):
    return {"methods": [{"name": "ada", "code_sha256": digest, "home": "project"}]}


def from_origin(method, seed, **origin):
    return row(method, seed, "fd", 1.0, 5.0, provenance=origin)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"dataset_sha256": A}, {"dataset_sha256": B}, ("data 1a2b3c4d", "data 5e6f7a8b")),
        ({"subset_digest": A}, {"subset_digest": B}, ("training images 1a2b3c4d", "training images 5e6f7a8b")),
        (of_code(A), of_code(B), ("code of ada 1a2b3c4d", "code of ada 5e6f7a8b")),
        ({"tf32": True}, {"tf32": False}, ("TF32 on", "TF32 off")),
        ({"half_type": "bfloat16"}, {"half_type": "none"}, ("16-bit layers in bfloat16", "no 16-bit layers")),
    ],
)
def test_seeds_of_a_column_have_one_origin(project, first, second, words):
    runs = [spec("ada", seed).run_id for seed in SEEDS]
    rows = [from_origin("ada", seed, **(second if seed == 1 else first)) for seed in SEEDS]
    message = (
        f"{FD}, 32 images, of config/artefacts/demo.yaml would mix origins in one column: "
        f"{words[0]} ({runs[0]}, {runs[2]}) and {words[1]} ({runs[1]}). Train or measure"
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        project(rows)
    alike = [from_origin("ada", seed, **first) for seed in SEEDS]
    assert len(project(alike).columns[0].finished_runs("ada")) == len(SEEDS)


def test_titled_grids_have_columns_of_one_origin_too(project):
    rows = [from_origin("ada", 0, **of_code(A)), from_origin("ada", 1, **of_code(B))]
    with pytest.raises(ConfigError, match="would mix origins in one column: code of ada 1a2b3c4d"):
        project(rows, grid=[{**ARTEFACT["grid"], "title": "All"}])


def test_all_methods_of_a_column_have_one_data_set_and_each_its_own_code(project):
    rows = [from_origin("ada", 0, dataset_sha256=A), from_origin("none", 0, dataset_sha256=B)]
    with pytest.raises(ConfigError, match=r"mix origins.*data 1a2b3c4d \(.*-ada-.*\) and data 5e6f7a8b \(.*-none-"):
        project(rows)
    rows = [from_origin("ada", 0, tf32=True, **of_code(A)), from_origin("none", 0, tf32=False, **of_code(B))]
    assert [len(project(rows).columns[0].finished_runs(method)) for method in ("none", "ada")] == [1, 1]


def test_an_origin_counts_as_far_as_it_is_stated(project):
    rows = [
        from_origin("ada", 0),
        from_origin("ada", 1, dataset_sha256=A),
        failed_row("ada", 2, "skip", "needs labels"),
    ]
    assert len(project(rows).columns[0].finished_runs("ada")) == 2


def test_published_value_stands_beside(project):
    published = {"where": {"artefact": "Table 1"}, "methods": {"none": "plain", "ada": "adaptive"}}
    rows = [inception("none"), inception("diffaugment-tc"), inception("ada")]
    artefact = project(rows, TOY, layout={"metrics": ["fid"], "published": published})
    numbers = measure_table(artefact, NO_LOGS)
    table = build_table(artefact, numbers)
    assert table.groups == [("FID ↓, 128 images", ["best", "final", "published", "difference"])]
    cells = dict(table.rows)
    assert cells["baseline"][2:] == [Cell("12.50 ± 0.3"), Cell("−1.50")]
    assert cells["DiffAugment"][2:] == [Cell("–"), Cell("–")]
    assert cells["ADA"][2].text == "8.00" and "not verified" in table.notes[int(cells["ADA"][2].note) - 1]
    assert cells["ADA"][3] == Cell("+3.00") and "best minus published" in table.caption
    of_ada = numbers[numbers["method"] == "ada"].iloc[0]
    assert of_ada["difference"] == 3.0 and "not verified" in of_ada["published_doubt"]


def test_a_deviation_from_memory_is_marked_beside_a_verified_number(project):
    published = {"where": {"artefact": "Table 2"}, "methods": {"none": "plain"}}
    artefact = project([inception("none")], TOY, layout={"metrics": ["fid"], "published": published})
    table = print_table(artefact)
    cell = dict(table.rows)["baseline"][2]
    assert cell.text == "8.32 ± 0.09" and "deviation not verified" in table.notes[int(cell.note) - 1]


def test_runs_shorter_than_published_say_so(project):
    published = {"where": {"artefact": "Table 1"}, "methods": {"none": "plain"}}
    longer = [replace(each, labels=replace(each.labels, full_kimg=25000.0)) for each in TOY]
    for specs, said in ((longer, True), ([replace(each, total_kimg=25000.0) for each in longer], False)):
        rows = [row("none", 0, "fid", 1.0, 11.0, of=specs[0], **INCEPTION)]
        content = project(rows, specs, layout={"metrics": ["fid"], "published": published})
        assert ("The published runs are longer, 25,000 kimg." in caption(content)) == said


def test_wide_tables_go_on_below(project):
    """Seven sizes of two columns each: no more than twelve columns side by side, as even as can be, by metric."""
    sizes = [spec("none", images=images) for images in range(1, 8)]
    rows = [row("none", 0, family, 1.0, 5.0 + each.images, of=each) for each in sizes for family in ("fd", "recall")]
    artefact = project(rows, sizes, layout={"metrics": ["fd", "recall"]})
    table = print_table(artefact)
    assert table.blocks == [4, 3, 4, 3]
    parts = list(table.parts())
    assert [len(rows_of_part[0][1]) for _, rows_of_part in parts] == [8, 6, 8, 6]
    assert [cell.text for cell in parts[1][1][0][1]] == [f"{5 + n:.2f}" for n in (5, 5, 6, 6, 7, 7)]
    assert markdown(table).count("| Method |") == latex(table).count(r"\toprule") == 4


def test_presets_share_a_column_where_each_method_has_its_own(project):
    none, _, ada = (replace(each, dataset=SPECS[0].dataset, images=32) for each in TOY)
    ada = relabelled(replace(ada, hyper={**ada.hyper, "batch": 4}), preset="other")
    rows = [row("none", 0, "fd", 1.0, 5.0, of=none), row("ada", 0, "fd", 1.0, 4.0, of=ada)]
    artefact = project(rows, [none, ada])
    assert [column.title for column in artefact.columns] == ["32 images"]
    assert artefact.columns[0].setting["preset"] == "tiny-batch16 / other"
    numbers = measure_table(artefact, NO_LOGS).set_index(["snapshot", "method"])
    assert list(numbers.loc["best"]["preset"]) == ["tiny-batch16", "other"]
    assert "Presets differ between methods, baseline: tiny-batch16; ADA: other." in caption(artefact)
    both = relabelled(replace(none, hyper=ada.hyper), preset="other")
    assert [column.title for column in project(rows, [none, ada, both]).columns] == [
        "32 images, tiny-batch16", "32 images, other"
    ]  # fmt: skip


def test_a_run_under_two_labels_stands_in_both_rows_and_counts_once_in_each(project):
    """Trained and measured once, for instance as ADA and as an entry of config/methods.yaml with the same arguments."""
    own = spec("ada")
    again = relabelled(own, method="ada-again")
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 2.0, 4.0)]
    rows += [line.model_copy(update={"method": "ada-again"}) for line in rows]
    artefact = project(rows, [own, again])
    assert artefact.methods == {"ada": "ADA", "ada-again": "ADA (ada-again)"}
    numbers = measure_table(artefact, NO_LOGS).set_index(["snapshot", "method"])
    for method in artefact.methods:
        assert list(numbers.loc[("final", method), ["mean", "n", "planned"]]) == [4.0, 1, 1]
        assert [run.run for run in artefact.columns[0].runs_of(method)] == [own.run_id]
    (ax,) = curves.draw(artefact, project.folder / "rows").axes
    assert [line.get_label() for line in ax.lines][:3:2] == ["ADA", "ADA (ada-again)"]


def test_a_run_under_two_presets_stands_in_both_columns(project):
    own = spec("ada")
    again = relabelled(own, preset="other")
    rows = [row("ada", 0, "fd", 1.0, 5.0), row("ada", 0, "fd", 1.0, 5.0, of=again)]
    artefact = project(rows, [own, again])
    assert [column.title for column in artefact.columns] == ["32 images, tiny-batch16", "32 images, other"]
    assert [cell.text for cell in dict(print_table(artefact).rows)["ADA"]] == ["5.00"] * 4


def test_rows_of_other_metrics_alone_are_no_value(project):
    artefact = project([row("none", 0, "kd", 1.0, 5.0)], layout={"metrics": ["fd"]})
    table = print_table(artefact)
    assert {cell.text for _, cells in table.rows for cell in cells} == {"not yet run"}


def test_kid_is_printed_times_1000_and_stored_plain(project):
    published = {"where": {"artefact": "Table 1"}, "methods": {"none": "plain"}}
    rows = [inception("none", "kid", 0.00512)]
    artefact = project(rows, TOY, layout={"metrics": ["kid"], "published": published})
    numbers = measure_table(artefact, NO_LOGS)
    assert numbers["mean"].iloc[0] == 0.00512 and numbers["published"].iloc[0] == pytest.approx(0.0045)
    assert [cell.text for cell in build_table(artefact, numbers).rows[0][1]] == ["5.12", "5.12", "4.50", "+0.62"]


def test_published_value_of_another_number_of_fakes_is_left_out(project):
    published = {"where": {}, "methods": {"diffaugment-tc": "aug"}}
    artefact = project([inception("diffaugment-tc")], TOY, layout={"metrics": ["fid"], "published": published})
    assert measure_table(artefact, NO_LOGS)["published"].isna().all()


@pytest.mark.parametrize(("artefact", "shown"), [("Table 3", True), ("Table 4", False)])
def test_published_value_against_another_reference_is_left_out(project, artefact, shown):
    published = {"where": {"artefact": artefact}, "methods": {"none": "plain"}}
    numbers = measure_table(
        project([inception("none")], TOY, layout={"metrics": ["fid"], "published": published}), NO_LOGS
    )
    assert numbers["published"].notna().any() == shown


def test_published_value_stands_once_beside_the_preset_that_the_method_has(project):
    published = {"where": {"artefact": ["Table 0", "Table 1"]}, "methods": {"none": "plain", "ada": "adaptive"}}
    none, _, ada = TOY
    ada = relabelled(replace(ada, hyper={**ada.hyper, "batch": 4}), preset="other")
    rows = [inception("none"), row("ada", 0, "fid", 1.0, 11.0, of=ada, **INCEPTION)]
    artefact = project(rows, [none, ada], layout={"metrics": ["fid"], "published": published})
    numbers = measure_table(artefact, NO_LOGS)
    final = numbers[numbers["snapshot"] == "final"].set_index(["preset", "method"])["published"]
    assert final["tiny-batch16", "none"] == 12.5 and final["other", "ada"] == 8
    assert len(final) == 2


def test_no_published_value_beside_a_proxy(project):
    artefact = project(measured_rows(), layout={"published": {"where": {}, "methods": {"none": "plain"}}})
    with pytest.raises(ValueError, match="is a proxy"):
        measure_table(artefact, NO_LOGS)


def test_unknown_names_in_the_layout_offer_the_nearest(project):
    with pytest.raises(ValueError, match="'layout.metric'.*Did you mean 'layout.metrics'"):
        project(measured_rows(), layout={"metric": ["fd"]})
    with pytest.raises(ValueError, match="'recal'.*Did you mean 'recall'"):
        project(measured_rows(), layout={"metrics": ["recal"]})


def test_latex_escapes_every_special_character():
    assert latex_escape(r"50% & $x_1$ #1 {a} ~^\ <b>") == (
        r"50\% \& \$x\_1\$ \#1 \{a\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}b\textgreater{}"
    )


HOSTILE = r"50% a_b & c|d <img src=x> \end{tabular} $1$ #2 `e`"


def test_latex_table_is_balanced_whatever_a_name_contains():
    text = latex(
        Table(HOSTILE, [(HOSTILE, ["best", "final"])], [(HOSTILE, [Cell("1", "1", True), Cell("2")])], [HOSTILE])
    )
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\(?:begin|end)\{\w+\}", text) == [
        r"\begin{table}", r"\begin{tabular}", r"\end{tabular}", r"\end{table}"
    ]  # fmt: skip
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().removesuffix(r"\\")
    assert len(re.findall(r"(?<!\\)&", body)) == 2
    assert not re.search(r"(?<!\\)[%#_]", text.replace("{%", "").removeprefix("% "))


def test_markdown_table_keeps_its_shape_whatever_a_name_contains():
    text = markdown(Table(HOSTILE, [(HOSTILE, ["best"])], [(HOSTILE, [Cell("1")])]))
    lines = text.splitlines()[:3]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3]
    assert "<img" not in text


def test_what_trains_by_the_measuring_network_is_not_bold_and_a_note_says_why(project):
    """The best of the others is, where it stands out among them."""
    values = {"projected": [1.0, 1.2], "ada": [10.0, 12.0], "none": [20.0, 22.0]}
    specs = [spec(method, seed) for method in values for seed in (0, 1)]
    rows = [row(each.method, each.seed, "fd", 1.0, values[each.method][each.seed], of=each) for each in specs]
    table = print_table(project(rows, specs, layout={"metrics": ["fd"]}))
    cells = {method: row_cells[0] for method, row_cells in table.rows}
    assert [method for method, cell in cells.items() if cell.bold] == ["ADA"]
    assert cells["projected"].text == "1.10 ± 0.14" and cells["ADA"].note == ""
    assert table.notes[int(cells["projected"].note) - 1].startswith("not ranked: trained by features of EfficientNet")
    assert "Bold: ahead of every other ranked method by more than" in table.caption
    two = [each for each in rows if each.method != "none"]
    assert not any(cell.bold for _, own in print_table(project(two, specs, layout={"metrics": ["fd"]})).rows
                   for cell in own)  # fmt: skip
