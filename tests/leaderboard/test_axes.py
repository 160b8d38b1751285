"""Axes of the page's pictures: their texts are whole, apart from each other, and distinct, whatever the values."""

from __future__ import annotations

import matplotlib
import pytest
from PIL import ImageFont

from leangan.leaderboard import page
from leangan.leaderboard.curve_geometry import GAP, Axis, curve, text_width
from leangan.leaderboard.page import FONT
from tests.helpers.synthetic import row, write_rows

RANGES = [(1e5, 9.5e5), (-1200.0, 800.0), (1e-5, 9e-5), (1e-9, 3e-9), (123.456789, 123.456789), (0.0, 0.0)]


def dejavu(text: str, font: float) -> float:
    """The width of a text in the widest of the typefaces that browsers take."""
    return (
        ImageFont.truetype(matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf", 100).getlength(text) * font / 100
    )


@pytest.mark.parametrize("low, high", RANGES)
def test_the_texts_of_both_axes_lie_inside_the_picture(low, high):
    drawn = curve([(100_000.0, low), (1_000_000.0, high)], 1_000_000.0, 380, 220, (48, 24, 24, 36), FONT)
    left, _, right, _ = drawn.frame
    assert all(left - GAP - dejavu(text, FONT) >= 0 for _, text in drawn.y_ticks), drawn.y_ticks
    assert all(x + dejavu(text, FONT) / 2 <= drawn.width for x, text in drawn.x_ticks), drawn.x_ticks
    assert 0 < left < right < drawn.width
    assert drawn.points.split()[-1].startswith(f"{right:.1f},"), "the curve ends where the axis does"


def test_no_text_is_wider_than_it_is_taken_for():
    for text in ("1,000,000", "-0.00001", "1e-05", "123.456789"):
        assert dejavu(text, 17) <= text_width(text, 17) <= 1.25 * dejavu(text, 17)


@pytest.mark.parametrize("low, high", [*RANGES, (1e5, 1e5 + 1e-5), (1e5, 1e5 + 4e-11), (1e300, 1.2e300)])
def test_no_two_ticks_say_the_same(low, high):
    for log in (False, True) if high > 3 * low > 0 else (False,):
        ticks = Axis(low, high, 300, 10, log=log).ticks()
        assert ticks and len({text for _, text in ticks}) == len(ticks)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scale", [1e5, 1e-5, -1e5])
def test_no_text_of_a_picture_covers_another_one(opened, tmp_path, width, scale):
    run = "elpv-mono-{}/stylegan2-none-s0-{:08x}"
    family = "kd" if scale < 0 else "fd"  # a kernel distance may be negative
    rows = [
        row("none", 0, family, kimg, scale * kimg, images=images, run=run.format(images, images))
        for images in (1000, 30_000, 140_000)
        for kimg in (100.0, 200_000.0 + images)
    ]
    (tmp_path / "day").mkdir()
    write_rows(tmp_path / "day", rows)
    html = tmp_path / "page/index.html"
    page.main(["--rows", str(tmp_path / "day/rows"), "--out", str(html)])
    with opened(html, viewport={"width": width, "height": 900}) as browser:
        browser.locator("tbody.measured .open").first.click()
        assert browser.locator("svg.chart").count() == 1
        boxes = browser.locator("svg:has(text)").evaluate_all(
            """pictures => {
                const box = (node) => node.getBoundingClientRect().toJSON();
                return pictures.map((picture) => [box(picture),
                    [...picture.querySelectorAll('text')].map((text) => [text.textContent, box(text)])]);
            }"""
        )
    assert len(boxes) == 2
    for picture, texts in boxes:
        for i, (text, box) in enumerate(texts):
            assert picture["left"] <= box["left"] and box["right"] <= picture["right"], text
            assert picture["top"] <= box["top"] + 1 and box["bottom"] <= picture["bottom"] + 1, text
            for other, beside in texts[:i]:
                apart = box["left"] >= beside["right"] or box["right"] <= beside["left"]
                assert apart or box["top"] >= beside["bottom"] or box["bottom"] <= beside["top"], (text, other)
