"""Quality over the size of the training set: which numbers make a picture, and where its points lie."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from leangan.artefacts import style
from leangan.core.project import ROOT
from leangan.leaderboard import page
from leangan.leaderboard.comparison import comparisons_of
from leangan.leaderboard.entry import rank
from leangan.leaderboard.measured_entries import measured_entries
from leangan.leaderboard.published_entries import published_entries
from leangan.leaderboard.size_pictures import size_pictures
from leangan.results.collect import collect
from leangan.results.published import read_published
from leangan.results.size_lines import group_by_picture, short_count, sizes_with_room
from tests.helpers.synthetic import row, write_rows


@pytest.fixture(scope="module")
def papers():
    return read_published(ROOT / "results/published/published.csv")


def fid(images, value, method="none", family="fid", **changes):
    """A row of a run that repeats ADA's fig. 7 on FFHQ."""
    usual = {"dataset": "ffhq", "resolution": 256, "preset": "paper256", "images": images, "n_fake": 50000,
             "proxy": False, "kimg": 25000.0, "total_kimg": 25000.0, "published_kimg": 25000.0,
             "run": f"ffhq-{images}/stylegan2-{method}-s0-01234567"}  # fmt: skip
    content = {**usual, **changes}
    extractor = "efficientnet_lite0" if content["proxy"] else "inception_v3"
    protocol = {"name": "ada", "extractor": extractor}
    return row(method, 0, family, content.pop("kimg"), value, protocol=protocol, **content)


def draw_pictures(tmp_path, rows, papers=None):
    entries = rank(measured_entries(collect(write_rows(tmp_path, rows)), tmp_path / "rows"))
    return size_pictures(comparisons_of(entries), papers)


def test_points_lie_by_the_logarithm_of_size_and_value(tmp_path):
    (picture,) = draw_pictures(tmp_path, [fid(1000, 100.0), fid(5000, 50.0), fid(70000, 5.0)])
    (line,) = picture.lines
    (x0, y0), (x1, y1), (x2, y2) = [(x, y) for _, _, x, y in line.points]
    assert (x1 - x0) / (x2 - x0) == pytest.approx(math.log(5) / math.log(70), abs=1e-3)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(math.log(2) / math.log(20), abs=1e-3)
    assert x0 < x1 < x2 and y0 < y1 < y2, "less data, and a larger FID, is left and above"
    assert picture.ranking == "full" and [text for _, text in picture.x_ticks] == ["1k", "5k", "70k"]


def test_shorter_runs_have_a_picture_of_their_own(tmp_path):
    rows = [fid(1000, 100.0), fid(5000, 50.0), fid(70000, 5.0, total_kimg=2000.0, kimg=2000.0)]
    assert [picture.sizes for picture in draw_pictures(tmp_path, rows)] == [[1000, 5000]]


def test_one_size_is_no_curve(tmp_path):
    assert draw_pictures(tmp_path, [fid(1000, 100.0), fid(1000, 20.0, "ada")]) == []


def test_published_numbers_stand_beside_a_reproduction_and_never_beside_a_proxy(tmp_path, papers):
    values = (1000, 100.0), (5000, 50.0), (1000, 20.0, "ada")
    (picture,) = draw_pictures(tmp_path, [fid(*each) for each in values], papers)
    lines = {(line.title, line.published): line for line in picture.lines}
    assert set(lines) == {("baseline", False), ("baseline", True), ("ADA", False), ("ADA", True)}
    # arXiv:2006.06676, fig. 7c: 1,000 images of FFHQ.
    assert [lines[name, True].at(1000).text for name in ("baseline", "ADA")] == ["100.16", "21.29"]
    assert lines["baseline", True].look == lines["baseline", False].look != lines["ADA", True].look
    proxy = [fid(*each, family="fd", proxy=True) for each in values]
    (picture,) = draw_pictures(tmp_path / "proxy", proxy, papers)
    assert picture.ranking == "proxy" and not any(line.published for line in picture.lines)


def test_the_page_opens_on_measured_beside_published_then_measured_then_published(tmp_path, papers):
    """Runs on few images that no paper has, at full length; shorter ones on two sizes of fig. 7; and a proxy."""
    alone = [fid(images, 40.0, dataset="own", run=f"own-{images}/a-none-s0-0") for images in (10, 20, 30)]
    beside = [fid(images, 90.0, total_kimg=2000.0, kimg=2000.0) for images in (1000, 5000)]
    proxy = [
        fid(images, 9.0, family="fd", proxy=True, run=f"ffhq-{images}/p-none-s0-0") for images in (1000, 5000, 70000)
    ]
    for rows, rankings in (
        ([*alone, *beside, *proxy], ["reduced", "full", "proxy"]),
        ([*alone, *proxy], ["full", "proxy"]),
        (proxy, ["proxy"]),
        ([], []),
    ):
        found = collect(write_rows(tmp_path / str(len(rows)), rows))
        entries = measured_entries(found, tmp_path / "rows")
        found = size_pictures(comparisons_of([*published_entries(papers), *entries]), papers)
        order = list(dict.fromkeys(picture.ranking for picture in found))
        assert order == [*rankings, "published"]
        assert [picture.side_by_side for picture in found[:2]] == [rankings[:1] == ["reduced"], False]
        html = page.render(page.sort_entries([*entries, *published_entries(papers)]), papers)
        first, label = re.search(
            r'name="view">.*?<option value="(\w+)".*?<svg[^>]* aria-label="([^"]*)"', html, re.DOTALL
        ).groups()
        assert first == found[0].id and found[0].title in label, "the choice says what is shown"


def test_published_numbers_for_other_sizes_are_not_side_by_side(tmp_path, papers):
    (picture,) = draw_pictures(tmp_path, [fid(1500, 100.0), fid(5500, 50.0)], papers)
    assert any(line.published for line in picture.lines) and not picture.side_by_side


@pytest.mark.parametrize(
    "images, text",
    [(32, "32"), (500, "500"), (1336, "1.34k"), (5000, "5k"), (140_000, "140k"), (640_583, "641k"),
     (999_900, "1M"), (1_281_167, "1.28M")],
)  # fmt: skip
def test_sizes_on_axes_are_short(images, text):
    assert short_count(images) == text


def test_sizes_too_near_to_the_one_before_have_no_name():
    # log 2 is 0.07 of log 20000, log 3 is 0.11 of it.
    assert sizes_with_room([30_000, 10, 200_000, 20, 60_000]) == [10, 30_000, 200_000]
    assert sizes_with_room([1000, 1000]) == [1000]


def test_presets_share_a_picture_unless_two_meet_at_one_size():
    members = [("a", 1, "x"), ("a", 2, "y"), ("b", 1, "x"), ("b", 1, "y"), ("b", 2, "x")]
    found = group_by_picture(members, lambda m: (m[0],), lambda m: m[1], lambda m: m[2])
    assert found == {
        ("a", ""): members[:2],
        ("b", "x"): [members[2], members[4]],
        ("b", "y"): [members[3]],
    }


def test_lines_differ_in_colour_and_marker(tmp_path):
    methods = ["none", "diffaugment", "da", "ada", *(f"other{i}" for i in range(9))]
    rows = [fid(images, 10.0, method) for images in (1000, 5000) for method in methods]
    (picture,) = draw_pictures(tmp_path, rows)
    assert len({(line.look.colour, line.look.marker) for line in picture.lines}) == len(methods)
    assert len({line.look.marker for line in picture.lines if line.title.lower() in ("diffaugment", "da", "ada")}) == 3


def test_a_line_has_the_look_of_its_method_s_name_whatever_its_title(tmp_path):
    titles = {"none": "plain", "diffaugment-tc": "DiffAugment", "ada": "baseline", "bcr": "ADA"}
    rows = [
        fid(images, 10.0, method, method_title=title) for images in (1000, 5000) for method, title in titles.items()
    ]
    (picture,) = draw_pictures(tmp_path, rows)
    assert [line.title for line in picture.lines] == ["plain", "DiffAugment", "baseline", "ADA"]
    figures = style.method_looks(list(titles))
    assert [line.look.colour.print for line in picture.lines] == [figures[name].color for name in titles]
    assert [line.look.marker for line in picture.lines[:3]] == ["circle", "square", "diamond"]


def test_the_first_of_several_set_ups_has_the_look_of_the_method(tmp_path):
    digests = ["1a2b3c4d" * 8, "5e6f7a8b" * 8]
    rows = [
        fid(images, 10.0, "ada", setting=digest, run=f"ffhq-{images}/stylegan2-ada-s0-{digest[:8]}")
        for images, digest in itertools.product((1000, 5000), digests)
    ]
    (picture,) = draw_pictures(tmp_path, rows)
    first, second = picture.lines
    assert first.title < second.title and first.look.colour.name == "vermilion" != second.look.colour.name


def test_without_measurements_the_first_picture_is_fig_7_of_ada(papers):
    found = size_pictures(comparisons_of(published_entries(papers)), papers)
    assert found[0].title.startswith("ffhq 256, FID, ADA (2006.06676), Fig 7c")
    assert [line.title for line in found[0].lines] == ["baseline (StyleGAN2)", "ADA", "ADA + bCR"]
    assert any(picture.title.startswith("lsun-cat 256, FID, ADA (2006.06676), Fig 7c") for picture in found)
    assert len({picture.id for picture in found}) == len(found)
    assert all(0 < x < picture.width and 0 < y < picture.height
               for picture in found for line in picture.lines for _, _, x, y in line.points)  # fmt: skip
