from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from leangan.artefacts import style
from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.figures import controller, curves, d_outputs, overfitting, samples
from leangan.artefacts.panels import distance_axis, kimg_axis
from leangan.results import keep
from leangan.results.measured_runs import Run, mean_curve
from leangan.results.metric_names import Metric
from leangan.results.sample_grids import grid_path, read_grid, reals_path, tile
from leangan.results.table import read_results
from leangan.results.training_log import read_log
from leangan.runs.methods import bind_all
from tests.helpers.synthetic import KIMG, SEEDS, SPECS, content_of, distance, images, write_grid


@pytest.fixture(scope="module")
def artefact(demo):
    return load_artefact("demo", content_of(), SPECS, read_results(demo / "results.csv"))


@pytest.fixture(scope="module")
def unfinished(demo):
    """The artefact with a second size of which no run has begun, and none of DA's has."""
    results = read_results(demo / "results.csv")
    larger = [dataclasses.replace(spec, images=512) for spec in SPECS]
    return load_artefact("demo", content_of(), [*SPECS, *larger], [row for row in results if row.method != "da"])


def test_curve_is_the_mean_over_seeds_with_their_range(artefact):
    curve = mean_curve(artefact.columns[0].runs_of("none"))
    values = [[distance("none", seed, kimg) for kimg in KIMG] for seed in SEEDS]
    np.testing.assert_allclose(curve["mean"], np.mean(values, axis=0), rtol=1e-12)
    np.testing.assert_allclose(curve["max"], np.max(values, axis=0), rtol=1e-12)
    assert list(curve.index) == KIMG


def test_best_of_each_method_is_marked(demo, artefact):
    (ax,) = curves.draw(artefact, demo / "rows").axes
    marks = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    values = [np.mean([distance("none", seed, kimg) for seed in SEEDS]) for kimg in KIMG]
    x, y = marks[0].get_data()
    assert (x[0], y[0]) == (KIMG[int(np.argmin(values))], pytest.approx(min(values)))
    assert len(marks) == 4
    assert "proxy" in ax.get_ylabel() and "FID" not in ax.get_ylabel()


def test_d_outputs_share_one_axis_and_show_what_was_logged(demo, artefact):
    axes = d_outputs.draw(artefact, demo / "rows").axes
    assert [ax.get_title() for ax in axes] == ["baseline", "DiffAugment", "DA", "ADA"]
    assert len({ax.get_ylim() for ax in axes}) == 1
    labels = [ax.get_legend_handles_labels()[1] for ax in axes]
    assert labels[0] == ["training images", "held-out images", "generated images"]
    assert labels[2] == ["training images", "generated images"]


def test_overfitting_is_r_v_of_the_means_in_each_ninth_of_a_run(tmp_path):
    run = Run("r", "none", 0, "done", None, [], final_kimg=18.0)
    (tmp_path / "r").mkdir()
    # Half-kimg ticks, four to a window; held-out images fall from D's score of the training images to the fakes'.
    lines = [
        {"kimg": k / 2, "d_real": 1.0 + k % 2, "d_valid": 1.5 - 3 * (k - 1) / 35, "d_fake": -1.5} for k in range(1, 37)
    ]
    (tmp_path / "r" / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    r_v = overfitting.overfitting(tmp_path, run)
    np.testing.assert_allclose(r_v.index, np.arange(2, 19, 2))
    # Window w holds k = 4w + 1 ... 4w + 4, whose mean position is (4w + 1.5) / 35 of the way.
    np.testing.assert_allclose(r_v, [(4 * w + 1.5) / 35 for w in range(9)], rtol=1e-12)


def test_overfitting_breaks_where_d_tells_nothing_apart(tmp_path):
    """Two ticks to a window. In the fourth D scores training images less than 0.1 above generated ones."""
    run = Run("r", "none", 0, "done", None, [], final_kimg=9.0)
    (tmp_path / "r").mkdir()
    real = {7: 0.05, 8: 0.1}
    lines = [{"kimg": k / 2, "d_real": real.get(k, 1.0), "d_valid": 0.0, "d_fake": 0.0} for k in range(1, 19)]
    (tmp_path / "r" / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    r_v = overfitting.overfitting(tmp_path, run)
    assert list(r_v[r_v.isna()].index) == [4.0] and (r_v.dropna() == 1).all() and len(r_v) == 9


def test_overfitting_leaves_out_methods_without_held_out_images(demo, artefact):
    (ax,) = overfitting.draw(artefact, demo / "rows").axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["baseline", "DiffAugment", "ADA"]


def test_controller_shows_p_and_target_of_the_methods_that_have_them(demo, artefact):
    p_axis, r_axis = controller.draw(artefact, demo / "rows").axes
    assert p_axis.get_legend_handles_labels()[1] == ["DA", "ADA"]
    assert np.allclose(p_axis.lines[0].get_ydata(), 0.3)
    (target,) = {dict(spec.plugins)["ada"]["target"] for spec in SPECS if spec.method == "ada"}
    assert [text.get_text() for text in r_axis.texts] == [f"target {target}"]
    assert any(np.allclose(line.get_ydata(), target) for line in r_axis.lines)


def test_the_target_is_the_one_of_the_runs():
    aims = [[("ada", {"target": 0.5})], [("bcr", {}), ("ada", {"p": 0.1})], [("da", {"p": 0.3})]]
    aims.append([("ada", {"heuristic": "rv"})])
    specs = [dataclasses.replace(SPECS[0], plugins=bind_all(plugins)) for plugins in aims]
    assert controller.targets(specs, "r_t") == [0.5, 0.6]
    assert controller.targets(specs[2:], "r_t") == []
    assert controller.targets(specs, "r_v") == [0.5]


def test_samples_show_training_images_beside_the_best_and_the_final_snapshot(demo, artefact):
    axes = np.reshape(samples.draw(artefact, demo / "rows").axes, (2, 5))
    assert [ax.get_title().split("\n")[0] for ax in axes[0]] == [
        "training images", "baseline", "DiffAugment", "DA", "ADA"
    ]  # fmt: skip
    run = artefact.columns[0].runs_of("ada")[0]
    reals, final = (
        read_grid(path, 32)
        for path in (reals_path(demo / "rows", run.run), grid_path(demo / "rows", run.run, KIMG[-1]))
    )
    for ax, cells in ((axes[0, 0], reals[:, :6]), (axes[1, 0], reals[:, 6:]), (axes[1, 4], final[:, :6])):
        np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(tile(cells)))
    values = [distance("ada", 0, kimg) for kimg in KIMG]
    assert axes[0, 4].get_xlabel() == f"best: {min(values):.2f} at {KIMG[int(np.argmin(values))]:g} kimg"
    assert axes[1, 4].get_xlabel() == f"final: {values[-1]:.2f} at 20 kimg"


@pytest.fixture(scope="module")
def clone(demo, tmp_path_factory):
    """The rows of `demo` with what is tracked of their pictures."""
    folder = tmp_path_factory.mktemp("clone") / "paper"
    shutil.copytree(demo / "rows", folder / "rows")
    keep.main(["--scale", "paper", "--results", str(folder.parent)])
    for path in folder.rglob("*.png"):
        path.unlink()
    return folder / "rows"


def test_in_a_clone_samples_show_the_final_snapshots_and_say_what_is_missing(demo, artefact, clone):
    figure = samples.draw(artefact, clone)
    assert len(figure.axes) == 5 and all(ax.images for ax in figure.axes)
    value = distance("ada", 0, KIMG[-1])
    assert figure.axes[4].get_xlabel() == f"final: {value:.2f} at 20 kimg"
    assert "pictures of the best snapshots stay where the runs were trained" in figure.get_supxlabel()
    whole = samples.draw(artefact, demo / "rows")
    assert "pictures of the best" not in whole.get_supxlabel()
    for ax, original in zip(figure.axes, (whole.axes[0], *whole.axes[6:]), strict=True):
        shown, before = (np.asarray(each.images[0].get_array(), float) for each in (ax, original))
        assert np.abs(shown[..., 0] - before).mean() < 4


def test_pictures_that_never_came_are_words(artefact, tmp_path):
    axes = samples.draw(artefact, tmp_path).axes
    assert len(axes) == 5
    assert {ax.texts[0].get_text() for ax in axes} == {"no picture came\nwith these rows"}


def test_training_images_come_from_whichever_run_has_them(artefact, clone, tmp_path):
    shutil.copytree(clone, tmp_path / "rows")
    first, *others = sorted((tmp_path / "rows").glob("*/*/samples/reals.webp"))
    for path in others:
        path.unlink()
    assert samples.draw(artefact, tmp_path / "rows").axes[0].images
    first.unlink()
    assert samples.draw(artefact, tmp_path / "rows").axes[0].texts


@pytest.mark.parametrize(
    ("figure", "panels"), [(curves, 1), (d_outputs, 3), (controller, 2), (overfitting, 1), (samples, 8)]
)
def test_figures_leave_out_what_has_not_been_run(demo, unfinished, tmp_path, figure, panels):
    drawn = figure.draw(unfinished, demo / "rows")
    assert len(drawn.axes) == panels
    style.save(drawn, tmp_path / "f")
    text = (tmp_path / "f.svg").read_text()
    assert ">ADA<" in text and ">DA<" not in text and ">da<" not in text


def test_methods_keep_their_colour_whatever_is_beside_them():
    alone, beside = (
        style.method_looks(["ada", "none"]),
        style.method_looks(["a", "ada", "b", "c", "d", "none"]),
    )
    assert alone["ada"] == beside["ada"] and alone["none"] == beside["none"]
    assert len({(look.color, look.linestyle) for look in beside.values()}) == 6


def test_long_titles_stay_within_their_panels():
    figure, (axes,) = style.panels(1, 4, 2)
    for ax in axes:
        style.title(ax, "100-shot-temple_of_heaven, 100 images")
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1 and boxes[0].y1 <= figure.bbox.y1


def test_training_axis_ends_with_the_longest_run_and_writes_thousands_out():
    figure, (axes,) = style.panels(1, 2, 2, sharex=True)
    for ax, end in zip(axes, (20_000, 1_024_000), strict=True):
        ax.plot([10_000, end], [1, 2])
    for ax in axes:
        kimg_axis(ax)
    figure.draw_without_rendering()
    assert {ax.get_xlim() for ax in axes} == {(0, 1_024_000)}
    labels = [text.get_text() for text in axes[0].get_xticklabels()]
    assert labels[:3] == ["0", "500,000", "1,000,000"]


def test_cells_of_a_grid_come_back_in_reading_order(tmp_path):
    cells = images(np.random.default_rng(1), 72)
    write_grid(tmp_path / "g.png", cells)
    grid = read_grid(tmp_path / "g.png", 32)
    np.testing.assert_array_equal(grid, cells.reshape(6, 12, 1, 32, 32))
    np.testing.assert_array_equal(np.asarray(tile(grid[:3, :3]))[33:65, 66:98], grid[1, 2, 0])
    assert tile(grid[:3, :3]).size == (98, 98)
    with pytest.raises(ValueError, match="384 x 192 pixels, no whole number of 50"):
        read_grid(tmp_path / "g.png", 50)


def test_large_images_are_scaled_to_print_size(tmp_path):
    Image.new("RGB", (12 * 256, 6 * 256)).save(tmp_path / "g.png")
    _, [[ax]] = style.panels(1, 1, 2)
    samples._show(ax, read_grid(tmp_path / "g.png", 256), slice(6))
    assert max(ax.images[0].get_array().shape) == samples.PANEL_PX


def test_broken_log_line_is_named(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "train.jsonl").write_text('{"kimg": 1}\n{"kimg": \n')
    with pytest.raises(ValueError, match=r"train\.jsonl, line 2"):
        read_log(tmp_path, "r")


@pytest.mark.parametrize("family, scale", [("fd", "log"), ("fd_inf", "log"), ("kd", "linear"), ("recall", "linear")])
def test_distances_that_span_decades_have_a_logarithmic_axis(family, scale):
    axes = Figure().subplots()
    metric = Metric(family, 1000, "full", "efficientnet_lite0")
    distance_axis(axes, SimpleNamespace(metric=metric, proxy=True))
    assert axes.get_yscale() == scale
