"""Figures over the size of the training set, over an argument of the methods, and of one method in many settings."""

from __future__ import annotations

import statistics
from functools import cache

import numpy as np
import pytest

from leangan.artefacts import render, style
from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.figures import curves, overfitting, size_curve, sweep
from leangan.core.errors import ConfigError
from leangan.core.schemas import parse
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.results.published import FILE, read_published
from leangan.results.table import read_results
from leangan.runs.artefact_sections import ArtefactConfig, Layout, Sweep
from leangan.runs.config import artefact, configured
from leangan.runs.grid import expand
from tests.helpers import made_up

REPORTED = read_published(FILE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function name -> (artefact, its specs, folder of rows): three seeds at the scale paper, all runs finished."""

    @cache
    def make(name: str):
        folder = tmp_path_factory.mktemp("results")
        specs = expand(name, configured(scale="paper"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(made_up, "grid", lambda resolution: b"")
            if name != "ada-fig1":  # the one whose training logs are drawn
                patch.setattr(made_up, "write_run", lambda folder, spec: None)
            made_up.write(folder, name, specs, "paper", {})
        content = load_artefact(name, artefact(name), specs, read_results(folder / "results.csv"), REPORTED)
        return content, specs, folder / "rows"

    return make


def bests(specs, **fields) -> list[float]:
    """The best value of each seed of the runs with these fields."""
    chosen = [spec for spec in specs if all(getattr(spec, key) == wanted for key, wanted in fields.items())]
    return [min(made_up.value(spec, "fid", i) for i in range(made_up.SNAPSHOTS)) for spec in chosen]


def test_size_curve_has_means_ranges_and_published_numbers(made):
    content, specs, rows = made("ada-fig7")
    figure = size_curve.draw(content, rows)
    ffhq, cat = figure.axes
    assert (ffhq.get_title(), cat.get_title()) == ("ffhq", "lsun-cat")
    sizes = [1000, 5000, 10000, 30000, 100000, 200000]
    (line,) = (line for line in cat.lines if line.get_label() == "ADA")
    values = [bests(specs, dataset="lsun-cat", images=images, method="ada") for images in sizes]
    np.testing.assert_allclose(line.get_xdata(), sizes)
    np.testing.assert_allclose(line.get_ydata(), [statistics.mean(of_size) for of_size in values], rtol=1e-12)
    ranges = [band.get_paths()[0].vertices for band in cat.collections]
    assert any(set(np.round([min(v) for v in values], 9)) <= set(np.round(band[:, 1], 9)) for band in ranges)
    hollow = [line for line in ffhq.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    drawn = {(x, y): line.get_marker() for line in hollow for x, y in line.get_xydata()}
    # Fig. 7c: 6 sizes of the baseline, ADA and ADA + bCR; verified at their source are 100.16, 5.28 and four of ADA.
    assert len(drawn) == 18 and drawn[1000, 100.16] == "o" and drawn[30000, 12.31] == "D"
    of_figure = [line for line in REPORTED if (line.artefact, line.dataset) == ("Fig 7c", "ffhq 256")]
    assert list(drawn.values()).count("o") == sum(line.verified == "yes" for line in of_figure)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Baseline", "bCR", "ADA", "ADA + bCR", "published", "published, not verified at its source"]
    measured = {line.get_label() for line in ffhq.lines if line.get_markerfacecolor() != "white"}
    assert measured >= {"Baseline", "bCR", "ADA", "ADA + bCR"}


def test_size_curve_needs_no_finished_run(made, tmp_path):
    specs = made("ada-fig7")[1]
    made_up.write(tmp_path, "ada-fig7", specs[:1], "paper", {specs[0].run_id: ("skip", "no")})
    results = read_results(tmp_path / "results.csv")
    ffhq, _ = size_curve.draw(load_artefact("ada-fig7", artefact("ada-fig7"), specs, results, REPORTED), tmp_path).axes
    assert {line.get_label() for line in ffhq.lines} >= {"Baseline", "ADA", "ADA + bCR"}  # bCR alone is not published
    assert "bCR" not in {line.get_label() for line in ffhq.lines}
    nothing = artefact("ada-fig7").model_copy(update={"layout": Layout(metrics=["fid"])})
    empty = size_curve.draw(load_artefact("ada-fig7", nothing, specs, results, REPORTED), tmp_path)
    assert "has no published numbers" in empty.texts[0].get_text()
    render.write_figure(size_curve, load_artefact("ada-fig7", nothing, specs, results), tmp_path, tmp_path / "empty")
    render.write_figure(curves, load_artefact("ada-fig7", nothing, specs, results), tmp_path, tmp_path / "none")
    assert ">numbers.<" in (tmp_path / "empty.svg").read_text()
    assert "No run of this artefact has finished." in (tmp_path / "none.svg").read_text()


def test_sizes_of_which_presets_differ_are_one_curve(made):
    content, _, rows = made("diffaugment-table2")
    (ax,) = size_curve.draw(content, rows).axes
    assert ax.get_title() == "imagenet"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["320k", "641k", "1.28M"]
    (line,) = (line for line in ax.lines if line.get_label() == "DiffAugment")
    assert list(line.get_xdata()) == [320291, 640583, 1281167]


def test_strengths_by_category_beside_the_baseline(made):
    content, specs, rows = made("ada-fig4")
    axes = sweep.draw(content, rows).axes
    assert [ax.get_title() for ax in axes] == ["2,000 images", "10,000 images", "140,000 images"]
    lines = {line.get_label(): line for line in axes[1].lines}
    assert len(lines) >= 7
    swept = {dict(spec.plugins)["da"]["p"]: spec.method for spec in specs
             if dict(spec.plugins).get("da", {}).get("categories") == "geom"}  # fmt: skip
    means = [statistics.mean(bests(specs, images=10000, method=swept[p])) for p in (0.2, 0.4, 0.6, 0.8, 1.0)]
    np.testing.assert_allclose(lines["geometry"].get_xydata(), np.transpose([[0.2, 0.4, 0.6, 0.8, 1.0], means]))
    baseline = statistics.mean(bests(specs, images=10000, method="none"))
    assert any(np.allclose(line.get_ydata(), baseline) and line.get_linestyle() != "-" for line in axes[1].lines)


def test_targets_by_size_beside_the_best_fixed_strength(made):
    content, specs, rows = made("ada-fig5")
    r_v, r_t = sweep.draw(content, rows).axes
    assert (r_v.get_title(), r_t.get_title()) == ("heuristic $r_v$", "heuristic $r_t$")
    lines = {line.get_label(): line for line in r_t.lines}
    assert list(lines["140,000 images"].get_xdata()) == [0.2, 0.4, 0.5, 0.6, 0.8]
    assert {line.get_label() for line in r_v.lines if len(line.get_xdata()) == 5} == {"2,000 images", "10,000 images"}
    fixed = [f"da-bgc-{p}" for p in ("0.2", "0.4", "0.6", "0.8")]
    best = min(statistics.mean(bests(specs, images=2000, method=method)) for method in fixed)
    assert any(np.allclose(line.get_ydata(), best) for line in r_t.lines if len(line.get_ydata()) == 2)


def test_arguments_come_from_preset_and_plugins(made):
    content, _specs, rows = made("diffaugment-fig8-width")
    (axes, *_) = sweep.draw(content, rows).axes
    assert axes.get_xscale() == "log"
    lines = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert lines == {"BigGAN": [32, 64, 128, 256], "with DiffAugment": [32, 64, 128, 256]}
    capacity, of_capacity = Sweep(x="preset.d_capacity", lines={}), made("ada-fig8b")[1]
    found = {spec.method: sweep.argument(spec, capacity, "x.yaml") for spec in of_capacity}
    assert found == {"d-capacity-quarter": 0.25, "d-capacity-half": 0.5, "none": 1.0, "d-capacity-2": 2.0}
    with pytest.raises(ConfigError, match=r"method 'd-capacity-quarter' has no da\.p.*in x\.yaml"):
        sweep.argument(of_capacity[0], Sweep(x="da.p", lines={}), "x.yaml")
    with pytest.raises(ConfigError, match="needs a `sweep` in its layout"):
        sweep.draw(made("ada-fig7")[0], rows)


def test_a_sweep_names_known_keys_and_methods(made):
    _, specs, rows = made("ada-fig8b")
    results = read_results(rows.parent / "results.csv")
    for wrong, words in (
        ({"x": "da.p", "line": {}, "lines": {}}, "key 'layout.sweep.line'. Did you mean 'layout.sweep.lines'"),
        ({"x": "da.p", "lines": {"a": ["d-capacity-3"]}}, "method 'd-capacity-3'. Did you mean 'd-capacity-2'"),
        ({"lines": {}}, "lacks x under layout.sweep"),
        ({"x": "da.p", "default": 1, "lines": {}}, "key 'layout.sweep.default'"),
        ({"x": "p", "lines": {}}, "layout.sweep.x = 'p' is not allowed"),
        ({"x": "da.p", "lines": {}, "scale": "logarithmic"}, "value for layout.sweep.scale: 'logarithmic'"),
    ):
        stated = {**read("config/artefacts/ada-fig8b.yaml"), "layout": {"metrics": ["fid"], "sweep": wrong}}
        with pytest.raises(ConfigError, match=words):
            load_artefact("ada-fig8b", parse(ArtefactConfig, stated, "ada-fig8b.yaml"), specs, results)


def test_one_method_in_many_settings_is_one_panel_with_a_line_per_setting(made):
    content, specs, rows = made("ada-fig1")
    (ax,) = curves.draw(content, rows).axes
    labels = [label for label in ax.get_legend_handles_labels()[1] if "images" in label]
    assert labels == [f"{n:,} images" for n in (1000, 2000, 5000, 10000, 30000, 70000, 140000)]
    (line,) = (line for line in ax.lines if line.get_label() == "5,000 images")
    runs = [spec for spec in specs if spec.images == 5000]
    means = [statistics.mean(made_up.value(spec, "fid", i) for spec in runs) for i in range(made_up.SNAPSHOTS)]
    np.testing.assert_allclose(line.get_ydata(), means, rtol=1e-12)
    assert len({line.get_color() for line in ax.lines if "images" in line.get_label()}) == 7
    assert len(overfitting.draw(content, rows).axes) == 1


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (12, 3)])
def test_panels_wrap(count, columns):
    _, axes = style.wrap_panels(count, 1.0)
    assert len(axes) == count and axes[0].get_subplotspec().get_gridspec().ncols == columns


def test_a_method_looks_alike_in_every_figure_and_no_two_alike_in_one():
    everything = [*read("config/methods.yaml"), *registry.names("method"), "mine"]
    alone = {name: style.method_looks([name])[name] for name in everything}
    own = {alone[name] for name in ("none", "diffaugment", "da", "ada")}
    assert len(own) == 4 and alone["diffaugment-tc"] == alone["diffaugment"]
    assert len(set(alone.values())) == len(own) + 3 * 4, "the others share three colours and four kinds of dashes"
    twin = next(name for name in everything if name != "bcr" and alone[name] == alone["bcr"])
    others = [name for name in everything if alone[name] not in {alone["bcr"], *own}][:5]
    looks = style.method_looks(["bcr", twin, "none", "ada", *others])
    assert len(set(looks.values())) == len(looks)
    assert all(looks[name] == alone[name] for name in ("bcr", "none", "ada", others[0])) and looks[twin] != alone[twin]


@pytest.mark.parametrize(("name", "kind"), [("diffaugment-table2", "size_curve"), ("ada-fig8b", "sweep")])
def test_pictures_are_written_the_same_each_time(made, tmp_path, name, kind):
    content, _, rows = made(name)
    for stem in ("first", "second"):
        render.write_figure(render.figure_module(kind), content, rows, tmp_path / stem)
    for ending in ("png", "svg", "pdf"):
        assert (tmp_path / f"first.{ending}").read_bytes() == (tmp_path / f"second.{ending}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "first.pdf").read_bytes()
