"""Artefacts whose grids have titles: the table with a heading per grid, the figures with a panel per grid."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.figures import d_accuracy, group_curves, group_samples, overfitting
from leangan.artefacts.table_formats import latex, markdown
from leangan.artefacts.tables import build_table, measure_table
from leangan.core.errors import ConfigError
from leangan.results.table import read_results
from leangan.results.training_log import value_at_end
from tests.helpers.synthetic import (
    ARTEFACT,
    KIMG,
    SEEDS,
    SPECS,
    content_of,
    distance,
    failed_row,
    lacking_row,
    row,
    spec,
    write_demo,
)

GRID = ARTEFACT["grid"]
GROUPED = {
    **ARTEFACT,
    "grid": [
        {**GRID, "title": "Plain", "method": ["none", "lecam"]},
        {**GRID, "title": "Augmented", "method": ["diffaugment-tc", "da", "ada"]},
    ],
    "layout": {"metrics": ["fd", "recall"], "training": ["images_per_s", "accuracy_real"]},
}
ADDED = [spec("bcr"), spec("lecam")]
FD = "fd1k_full_efficientnet_lite0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The made-up results with accuracies in the logs, a method that was refused and one of the command line."""
    folder = tmp_path_factory.mktemp("project") / "results" / "paper"
    extra = [failed_row("lecam", 0, "skip", "needs labels"), row("bcr", 0, "fd", 20.0, 77.5)]
    extra = [line.model_copy(update={"run": added.run_id}) for line, added in zip(extra, reversed(ADDED), strict=True)]
    write_demo(folder, extra)
    logs = [folder / "rows" / each.run_id / "train.jsonl" for each in SPECS]
    (folder / "rows" / ADDED[0].run_id).mkdir(exist_ok=True)
    for path in [*logs, folder / "rows" / ADDED[0].run_id / "train.jsonl"]:
        lines = [json.loads(line) for line in logs[0].read_text().splitlines()]
        for line in lines:
            line |= {"accuracy_real": line["kimg"] / 40, "accuracy_fake_d": 0.9, "accuracy_fake_g": 0.1}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def grouped(folder):
    return load_artefact("demo", content_of(**GROUPED), [*SPECS, *ADDED], read_results(folder / "results.csv"))


def test_at_the_end_is_the_last_quarter_of_the_log_and_the_speed_that_of_the_whole_run(tmp_path):
    (tmp_path / "r").mkdir()
    lines = [{"kimg": k / 2, "seconds": 3.0 * k, "accuracy_real": k / 8} for k in range(1, 9)]
    (tmp_path / "r/train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert value_at_end(tmp_path, "r", "accuracy_real") == pytest.approx((7 / 8 + 1) / 2)
    assert value_at_end(tmp_path, "r", "images_per_s") == pytest.approx(4000 / 24)
    assert value_at_end(tmp_path, "r", "accuracy_fake_d") is None


def test_a_heading_per_grid_then_what_the_command_line_added(folder, grouped):
    table = build_table(grouped, measure_table(grouped, folder / "rows"))
    assert [(title, len(cells)) for title, cells in table.rows] == [
        ("Plain", 0), ("baseline", 6), ("lecam", 6),
        ("Augmented", 0), ("DiffAugment", 6), ("DA", 6), ("ADA", 6),
        ("Added, 32 images", 0), ("bcr", 6),
    ]  # fmt: skip
    assert table.groups[-1] == ("Training", ["images/s", "D right, reals"])
    cells = dict(table.rows)
    assert [cell.text for cell in cells["lecam"]] == ["skip", *["–"] * 5]
    assert table.notes[int(cells["lecam"][0].note) - 1] == "skip: needs labels"
    final = [distance("ada", seed, KIMG[-1]) for seed in SEEDS]
    assert cells["ADA"][1].text == f"{np.mean(final):.2f} ± {np.std(final, ddof=1):.2f}"
    # 1,000 images in 16 s; kimg / 40 over the ticks after 15 of 20 kimg, whose mean is 17.75.
    assert [cell.text.split(" ±")[0] for cell in cells["ADA"][4:]] == ["62", f"{17.75 / 40:.2f}"]
    assert cells["bcr"][0].text == "77.50" and not any(cell.bold for of_row in cells.values() for cell in of_row)
    assert "D right:" in table.caption and "a proxy, not FID" in table.caption


def test_a_metric_without_a_value_says_so_in_its_own_cell(folder):
    """The distance and the training log stand."""
    (of,) = {row.run for row in read_results(folder / "results.csv") if row.method == "bcr"}
    lacking = lacking_row("bcr", 0, "recall", 20.0, "too few").model_copy(update={"run": of})
    rows = [*read_results(folder / "results.csv"), lacking]
    artefact = load_artefact("demo", content_of(**GROUPED), [*SPECS, *ADDED], rows)
    table = build_table(artefact, measure_table(artefact, folder / "rows"))
    cells = dict(table.rows)["bcr"]
    assert [cell.text for cell in cells] == ["77.50", "77.50", "no value", "no value", "62", "0.44"]
    assert cells[0].note == "" and table.notes[int(cells[2].note) - 1] == "no value: too few"


def test_both_formats_keep_their_shape(folder, grouped):
    table = build_table(grouped, measure_table(grouped, folder / "rows"))
    lines = markdown(table).splitlines()[: 2 + len(table.rows)]
    assert {line.count("|") for line in lines} == {8}
    text = latex(table)
    assert text.count(r"\multicolumn{7}{l}") == 3 and text.count("{") == text.count("}")


def test_the_numbers_are_there_in_full_precision(folder, grouped):
    numbers = measure_table(grouped, folder / "rows")
    line = numbers.set_index(["method", "quantity", "snapshot"]).loc[("bcr", FD, "final")]
    assert (line["mean"], line["n"], line["group"]) == (77.5, 1, "Added, 32 images")
    assert numbers["planned"].max() == len(SEEDS)


def test_a_panel_per_grid_shows_its_methods_beside_the_baseline(folder, grouped):
    figure = group_curves.draw(grouped, folder / "rows")
    assert [ax.get_title() for ax in figure.axes] == ["Plain", "Augmented", "Added, 32 images"]
    labels = [ax.get_legend_handles_labels()[1] for ax in figure.axes]
    assert labels == [["baseline"], ["baseline", "DiffAugment", "DA", "ADA"], ["baseline", "bcr"]]
    for ax in figure.axes:
        (line,) = (line for line in ax.lines if line.get_label() == "baseline")
        means = [np.mean([distance("none", seed, kimg) for seed in SEEDS]) for kimg in KIMG]
        np.testing.assert_allclose(line.get_ydata(), means, rtol=1e-12)


def test_samples_show_every_method_that_has_numbers(folder, grouped):
    figure = group_samples.draw(grouped.only(["none", "diffaugment-tc", "lecam"]), folder / "rows")
    titles = [ax.get_title() for ax in figure.axes if ax.images]
    below = [ax.get_xlabel() for ax in figure.axes if ax.images]
    assert titles == ["training images", "baseline", "DiffAugment"]
    values = [distance(method, SEEDS[0], KIMG[-1]) for method in ("none", "diffaugment-tc")]
    assert below == ["", *(f"{value:.2f}" for value in values)]
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["Plain", "Augmented"]


def test_pictures_that_never_came_are_words(folder, grouped, tmp_path):
    axes = group_samples.draw(grouped.only(["none", "diffaugment-tc"]), tmp_path).axes
    shown = [ax for ax in axes if ax.get_title()]
    assert [ax.get_title() for ax in shown] == ["training images", "baseline", "DiffAugment"]
    assert {ax.texts[0].get_text() for ax in shown} == {"no picture came\nwith these rows"}


def test_accuracies_of_d_have_a_panel_per_chosen_method(folder, grouped):
    axes = d_accuracy.draw(grouped.only(["ada", "none"]), folder / "rows").axes
    assert [ax.get_title() for ax in axes] == ["ADA", "baseline"]
    lines = {line.get_label(): line.get_ydata() for line in axes[0].lines}
    np.testing.assert_allclose(lines["fakes, D's step"], 0.9)
    np.testing.assert_allclose(lines["fakes, G's step"], 0.1)
    assert lines["training images"][-1] == 0.5


def test_a_figure_of_chosen_methods_draws_no_other(folder, grouped):
    (ax,) = overfitting.draw(grouped.only(["diffaugment-tc", "none"]), folder / "rows").axes
    assert ax.get_legend_handles_labels()[1] == ["DiffAugment", "baseline"]
    with pytest.raises(
        ConfigError, match="unknown method 'adda'. Did you mean 'ada'.*figures: of config/artefacts/demo"
    ):
        grouped.only(["adda"])


def test_methods_of_one_title_are_told_apart_by_name(folder):
    results = read_results(folder / "results.csv")
    alike = [
        dataclasses.replace(each, labels=dataclasses.replace(each.labels, title="Augmentation"))
        if each.method in ("da", "ada")
        else each
        for each in SPECS
    ]
    titles = load_artefact("demo", content_of(**GROUPED), alike, results).methods
    assert titles["da"] == "Augmentation" and titles["ada"] == "Augmentation (ada)"
    assert titles["none"] == "baseline"


def test_a_layout_that_fits_no_table_is_refused(folder):
    results = read_results(folder / "results.csv")
    for change, words in (
        ({"layout": {"training": ["image_per_s"]}}, "'image_per_s'. Did you mean 'images_per_s'"),
        ({"grid": GRID}, "leave one out of the layout, or the titles out of the grid"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_artefact("demo", content_of(**{**GROUPED, **change}), SPECS, results)


def test_without_titles_there_is_nothing_to_draw(folder):
    plain = load_artefact("demo", content_of(), SPECS, read_results(folder / "results.csv"))
    assert plain.groups == []
    for figure in (group_curves, group_samples):
        assert "no titles" in figure.draw(plain, folder / "rows").texts[0].get_text()
