"""Quality over the size of the training set: which numbers make a picture, and where its points lie."""

from __future__ import annotations

import math

import pytest
from synthetic import row, write_rows

from report.collect import collect, to_csv
from report.entries import measured_entries, published_entries, rank
from report.published import read_published
from report.results import read_results
from report.settings import settings_of
from report.size_curves import views
from suite.config import ROOT

FID = "fid50k_full"


@pytest.fixture(scope="module")
def papers():
    return read_published(ROOT / "results/published/published.csv")


def fid(images, value, method="none", **changes):
    """A row of a run that repeats ADA's fig. 7 on FFHQ."""
    usual = {"dataset": "ffhq", "resolution": 256, "preset": "paper256", "images": images, "n_fake": 50000,
             "proxy": False, "total_kimg": 25000.0, "published_kimg": 25000.0,
             "run": f"ffhq-{images}/stylegan2-{method}-s0-01234567"}  # fmt: skip
    whole = {**row(method, 0, FID, 25000.0, value), **usual, **changes}
    return {**whole, "protocol": {**whole["protocol"], "name": "ada", "extractor": "inception_v3"}}


def drawn(tmp_path, rows, papers=None):
    (tmp_path / "r.csv").write_text(to_csv(collect(write_rows(tmp_path, rows))))
    entries = measured_entries(read_results(tmp_path / "r.csv"), tmp_path / "rows")
    rank(entries)
    return views(settings_of(entries), papers)


def test_points_lie_by_the_logarithm_of_size_and_value(tmp_path):
    (view,) = drawn(tmp_path, [fid(1000, 100.0), fid(5000, 50.0), fid(70000, 5.0)])
    (line,) = view.lines
    (x0, y0), (x1, y1), (x2, y2) = [(point.x, point.y) for point in line.points]
    assert (x1 - x0) / (x2 - x0) == pytest.approx(math.log(5) / math.log(70), abs=1e-3)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(math.log(2) / math.log(20), abs=1e-3)
    assert x0 < x1 < x2 and y0 < y1 < y2, "less data, and a larger FID, is left and above"
    assert view.ranking == "full" and [text for _, text in view.x_ticks] == ["1k", "5k", "70k"]


def test_shorter_runs_have_a_picture_of_their_own(tmp_path):
    rows = [fid(1000, 100.0), fid(5000, 50.0), fid(70000, 5.0, total_kimg=2000.0, kimg=2000.0)]
    assert [view.sizes for view in drawn(tmp_path, rows)] == [[1000, 5000]]


def test_one_size_is_no_curve(tmp_path):
    assert drawn(tmp_path, [fid(1000, 100.0), fid(1000, 20.0, "ada")]) == []


def test_published_numbers_stand_beside_a_reproduction_and_never_beside_a_proxy(tmp_path, papers):
    rows = [fid(1000, 100.0), fid(5000, 50.0), fid(1000, 20.0, "ada")]
    (view,) = drawn(tmp_path, rows, papers)
    lines = {(line.method, line.published): line for line in view.lines}
    assert set(lines) == {("baseline", False), ("baseline", True), ("ADA", False), ("ADA", True)}
    # arXiv:2006.06676, fig. 7c: 1,000 images of FFHQ.
    assert [view.at(lines[name, True], 1000).text for name in ("baseline", "ADA")] == ["100.16", "21.29"]
    assert lines["baseline", True].colour == lines["baseline", False].colour != lines["ADA", True].colour
    proxy = [{**each, "proxy": True, "metric": "fd50k_full_efficientnet_lite0",
              "protocol": {**each["protocol"], "extractor": "efficientnet_lite0"}} for each in rows]  # fmt: skip
    (view,) = drawn(tmp_path / "proxy", proxy, papers)
    assert view.ranking == "proxy" and not any(line.published for line in view.lines)


def test_without_measurements_the_first_picture_is_fig_7_of_ada(papers):
    found = views(settings_of(published_entries(papers)), papers)
    assert found[0].title.startswith("ffhq 256, FID, ADA (2006.06676), Fig 7c")
    assert [line.method for line in found[0].lines] == ["baseline (StyleGAN2)", "ADA", "ADA + bCR"]
    assert any(view.title.startswith("lsun-cat 256, FID, ADA (2006.06676), Fig 7c") for view in found)
    assert len({view.id for view in found}) == len(found)
    assert all(0 < point.x < view.width and 0 < point.y < view.height
               for view in found for line in view.lines for point in line.points)  # fmt: skip
