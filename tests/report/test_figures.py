from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from PIL import Image
from synthetic import distance, images, write_grid

from report.artefact import load
from report.figures import controller, curves, d_outputs, samples, style
from report.results import mean_curve, read_results
from report.sample_grids import first_cells, tile
from report.training_log import read_log


@pytest.fixture(scope="module")
def artefact(demo):
    return load(demo / "demo.yaml", read_results(demo / "results.csv"))


def run(demo, out, name):
    """The figure's command on the made-up results; returns the bytes of its PNG and SVG."""
    args = ["--results", str(demo / "results.csv"), "--artefact", str(demo / "demo.yaml")]
    args += ["--out-png", str(out / "f.png"), "--out-svg", str(out / "f.svg")]
    args += {
        "curves": ["--floor", "elpv=35.2"],
        "samples": ["--runs", str(demo / "runs"), "--data", str(demo / "elpv-32.npy"),
                    "--subset", str(demo / "elpv-128-s0.json")],
    }.get(name, ["--runs", str(demo / "runs")])  # fmt: skip
    import_module(f"report.figures.{name}").main(args)
    return (out / "f.png").read_bytes(), (out / "f.svg").read_bytes()


@pytest.mark.parametrize("name", ["curves", "d_outputs", "controller", "samples"])
def test_command_writes_the_same_files_each_time(demo, tmp_path, name):
    png, svg = run(demo, tmp_path, name)
    assert (png, svg) == run(demo, tmp_path, name)
    assert b"<dc:date>" not in svg
    with Image.open(tmp_path / "f.png") as picture:
        assert 900 < picture.width < 2200 and len(picture.convert("L").getcolors()) > 10


def test_curve_is_the_mean_over_seeds_with_their_range(artefact):
    curve = mean_curve(artefact.columns[0].of("none"))
    values = [[distance("none", seed, 2.5 * i) for i in range(1, 9)] for seed in (0, 1)]
    np.testing.assert_allclose(curve["mean"], np.mean(values, axis=0), rtol=1e-12)
    np.testing.assert_allclose(curve["max"], np.max(values, axis=0), rtol=1e-12)
    assert list(curve.index) == [2.5 * i for i in range(1, 9)]


def test_best_of_each_method_is_marked(artefact):
    (ax,) = curves.draw(artefact, list(artefact.methods), {"elpv": 35.2}).axes
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    values = [np.mean([distance("none", s, 2.5 * i) for s in (0, 1)]) for i in range(1, 9)]
    x, y = marks[0].get_data()
    assert (x[0], y[0]) == (2.5 * (int(np.argmin(values)) + 1), pytest.approx(min(values)))
    assert len(marks) == 4
    assert "proxy" in ax.get_ylabel() and "FID" not in ax.get_ylabel()
    assert any(np.allclose(line.get_ydata(), 35.2) for line in ax.lines)


def test_d_outputs_share_one_axis_and_show_what_was_logged(demo, artefact):
    axes = d_outputs.draw(artefact, str(demo / "runs")).axes
    assert [ax.get_title() for ax in axes] == ["baseline", "DiffAugment", "DA", "ADA"]
    assert len({ax.get_ylim() for ax in axes}) == 1
    labels = [ax.get_legend_handles_labels()[1] for ax in axes]
    assert labels[0] == ["training images", "held-out images", "generated images"]
    assert labels[2] == ["training images", "generated images"]


def test_controller_shows_p_and_target_of_the_methods_that_have_them(demo, artefact):
    p_axis, r_axis = controller.draw(artefact, list(artefact.methods), str(demo / "runs"), 0.6).axes
    assert p_axis.get_legend_handles_labels()[1] == ["DA", "ADA"]
    assert np.allclose(p_axis.lines[0].get_ydata(), 0.3)
    assert any(np.allclose(line.get_ydata(), 0.6) for line in r_axis.lines)


def test_methods_keep_their_colour_whatever_is_beside_them():
    alone, beside = (
        style.method_styles(["ada", "none"]),
        style.method_styles(["a", "ada", "b", "c", "d", "none"]),
    )
    assert alone["ada"] == beside["ada"] and alone["none"] == beside["none"]
    assert len({(look.color, look.linestyle) for look in beside.values()}) == 6


def test_cells_of_a_grid_come_back_in_reading_order(tmp_path):
    cells = images(np.random.default_rng(1), 64)
    write_grid(tmp_path / "g.png", cells)
    kept = first_cells(tmp_path / "g.png", 32, 3)
    np.testing.assert_array_equal(kept, cells.reshape(8, 8, 1, 32, 32)[:3, :3].reshape(9, 1, 32, 32))
    np.testing.assert_array_equal(np.asarray(tile(kept, 3))[33:65, 66:98], kept[5, 0])
    with pytest.raises(ValueError, match="256 x 256 pixels, no whole number of 48"):
        first_cells(tmp_path / "g.png", 48, 3)


def test_training_images_are_those_of_the_subset(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1))
    (tmp_path / "s.json").write_text(json.dumps({"indices": [7, 3, 39]}))
    assert samples.read_training_images(tmp_path / "x.npy", tmp_path / "s.json").ravel()[:5].tolist() == [
        7,
        3,
        39,
        7,
        3,
    ]


def test_broken_log_line_is_named(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "train.jsonl").write_text('{"kimg": 1}\n{"kimg": \n')
    with pytest.raises(ValueError, match=r"train\.jsonl, line 2"):
        read_log(tmp_path, "r")


def test_no_command_imports_torch():
    names = [
        "collect",
        "tables",
        "page",
        *(f"figures.{n}" for n in ("curves", "d_outputs", "controller", "samples")),
    ]
    code = f"import sys, {', '.join(f'report.{name}' for name in names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
