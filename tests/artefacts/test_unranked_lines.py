"""Figures say of a line whose numbers do not rank its method that they do not, and mark no best value on it."""

from __future__ import annotations

import itertools

import pytest

from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.figures import curves, group_curves, size_curve, sweep
from leangan.results.collect import collect
from tests.helpers.synthetic import ARTEFACT, content_of, row, spec, write_rows

MARKED = "projected (not ranked)"
GRID = ARTEFACT["grid"]
FIXED = {f"{kind}-{p}": [*others, ("da", {"p": p})]
         for kind, others in (("alone", []), ("both", [("projected", {})])) for p in (0.2, 0.6)}  # fmt: skip
"""Methods of a sweep over p, with and without the discriminator that looks through the measuring network."""


@pytest.fixture
def project(tmp_path):
    """A function (specs, family, **changes of the content): their artefact, two snapshots of each run measured."""

    def make(specs, family="fd", **changes):
        inception = {"proxy": False, "protocol": {"extractor": "inception_v3"}} if family == "fid" else {}
        rows = [
            row(each.method, each.seed, family, kimg, value, of=each, **inception)
            for each, (kimg, value) in itertools.product(specs, ((1.0, 20.0), (2.0, 10.0)))
        ]
        content = content_of(**{"layout": {"metrics": [family]}, **changes})
        return load_artefact("demo", content, specs, collect(write_rows(tmp_path, rows)))

    return make


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def circles(ax):
    """The colours of the marks of best snapshots."""
    return [line.get_color() for line in ax.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]


def test_curves_mark_the_lowest_mean_of_ranked_lines_alone(project, tmp_path):
    methods = ("none", "projected", "ada")
    (ax,) = curves.draw(project([spec(method) for method in methods]), tmp_path).axes
    assert labels(ax) == ["baseline", MARKED, "ADA", "lowest mean"]
    colours = {line.get_label(): line.get_color() for line in ax.lines}
    assert circles(ax) == [colours["baseline"], colours["ADA"]]
    (ax,) = curves.draw(project([spec("projected", images=64)]), tmp_path).axes
    assert labels(ax) == [MARKED] and circles(ax) == []


def test_by_another_network_the_method_is_ranked(project, tmp_path):
    (ax,) = curves.draw(project([spec("none"), spec("projected")], "fid"), tmp_path).axes
    assert labels(ax) == ["baseline", "projected", "lowest mean"] and len(circles(ax)) == 2


def test_one_method_in_several_settings_has_the_mark_on_every_line(project, tmp_path):
    artefact = project([spec("projected", images=images) for images in (32, 64)])
    (ax,) = curves.draw(artefact, tmp_path).axes
    assert labels(ax) == ["32 images (not ranked)", "64 images (not ranked)"] and circles(ax) == []


def test_group_curves_mark_it_beside_a_baseline_that_was_not_chosen(project, tmp_path):
    methods = ["none", "projected", "ada"]
    artefact = project([spec(each) for each in methods], grid=[{**GRID, "title": "All", "method": methods}])
    chosen = artefact.only(["ada", "projected"])
    assert sorted(labels(group_curves.draw(artefact, tmp_path).axes[0])) == ["ADA", "baseline", MARKED]
    assert sorted(labels(group_curves.draw(chosen, tmp_path).axes[0])) == ["ADA", "none", MARKED]


def test_size_curves_have_one_label_for_each_method(project, tmp_path):
    specs = [spec(method, images=images) for method in ("none", "projected") for images in (32, 64)]
    figure = size_curve.draw(project(specs), tmp_path)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["baseline", MARKED]


@pytest.mark.parametrize("panels", ["settings", "lines"])
def test_sweeps_mark_what_they_name_by_methods(project, tmp_path, panels):
    specs = [spec(name, images=images, plugins=plugins) for name, plugins in FIXED.items() for images in (32, 64)]
    lines = {kind: [f"{kind}-{p}" for p in (0.2, 0.6)] for kind in ("alone", "both")}
    layout = {"metrics": ["fd"], "sweep": {"x": "da.p", "lines": lines, "panels": panels}}
    axes = sweep.draw(project(specs, layout=layout), tmp_path).axes
    by_method, by_size = ["alone", "both (not ranked)"], ["32 images", "64 images"]
    titles, named = (by_method, by_size) if panels == "lines" else (by_size, by_method)
    assert [ax.get_title() for ax in axes] == titles
    assert [labels(ax) for ax in axes] == [named, named]


def test_the_specs_of_an_artefact_are_looked_up_once(project):
    artefact = project([spec("none"), spec("projected")])
    assert artefact.spec_of is artefact.spec_of
    assert artefact.only(["none"]).spec_of.keys() == {spec("none").run_id}
