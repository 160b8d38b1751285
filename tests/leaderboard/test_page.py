"""The leaderboard in a real browser, opened from a file, without network."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from leangan.core.yaml_files import read
from leangan.leaderboard import page as command
from leangan.results import collect
from tests.helpers import synthetic
from tests.helpers.papers import csv_text, number

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
ZHAO = {"paper": "Zhao et al.", "dataset": "cifar10", "model": "BigGAN", "conditional": "yes",
        "protocol": "fid10k: vs test", "source": "README"}  # fmt: skip
PUBLISHED = [
    number(**ZHAO, train_images="5000", method="baseline", name="none", value="39.78"),
    number(
        **ZHAO,
        train_images="5000",
        method="DiffAugment",
        name="diffaugment",
        value="22.4",
        std="0.2",
        std_verified="yes",
    ),
    number(**ZHAO, train_images="10000", method="baseline", name="none", value="23.08", verified="no"),
    number(
        **ZHAO,
        train_images="10000",
        method="DiffAugment",
        name="diffaugment",
        value="23.1",
        std="0.5",
        std_verified="yes",
    ),
    number(
        **{**ZHAO, "protocol": "is10k"},
        train_images="5000",
        method="DiffAugment",
        name="diffaugment",
        family="is",
        value="25.0",
    ),
    number(
        **{**ZHAO, "paper": "Karras et al.", "dataset": "cifar100", "source": "memory"},
        artefact="Table 2",
        train_images="9",
        method="</script><script>alert(2)</script>",
        value="30.0",
        verified="no",
    ),
]
RUNS = len(synthetic.SPECS)
ROWS = RUNS + 2 + 6
"""All rows: the runs, one skipped, one submitted, and what is published."""


def write_page(folder: Path) -> Path:
    html = folder / "page" / "index.html"
    command.main(["--results", str(folder / "results.csv"), "--published", str(folder / "published.csv"),
                  "--rows", str(folder / "rows"), "--out", str(html)])  # fmt: skip
    return html


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    folder = synthetic.write_demo(
        tmp_path_factory.mktemp("project") / "results" / synthetic.SCALE,
        [
            synthetic.failed_row("bcr", 0, "skip", HOSTILE, method_title=HOSTILE),
            synthetic.row(
                "da",
                5,
                "fid",
                20.0,
                33.0,
                proxy=False,
                source="submitted",
                published_kimg=25000,
                protocol={"extractor": "inception_v3"},
            ),
        ],
    )
    (folder / "published.csv").write_text(csv_text(*PUBLISHED))
    cells = synthetic.images(np.random.default_rng(0), 64)
    synthetic.write_grid(folder / "rows" / synthetic.spec("ada", 0).run_id / "neighbours-proxy.png", cells, columns=8)
    return write_page(folder)


@pytest.fixture
def page(opened, html):
    with opened(html) as page:
        yield page


def column(page, board, cell):
    """The texts of one cell in all visible rows of a ranking's table, top to bottom."""
    cells = page.locator(f"section:has(#board-{board}) tbody:visible > tr:first-child > :nth-child({cell})")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def header(page, board, key):
    return page.locator(f"section:has(#board-{board}) thead button[data-key={key}]")


def pictures_load(page):
    """Wait for the pictures of open rows; a broken one is an error."""
    for picture in page.locator(".detail img").all():
        picture.evaluate("picture => picture.decode()")


def shown(page):
    return page.locator("output").inner_text()


def test_rankings_are_tables_of_their_own(page):
    titles = page.locator("section:has(table.board) h2").all_inner_texts()
    assert titles == ["Proxy metrics", "Submitted by others", "Published numbers"]
    assert column(page, "proxy", 1) == [*map(str, range(1, RUNS + 1)), "–"]
    assert shown(page) == f"{ROWS} of {ROWS} rows"
    assert page.locator("section:has(#board-proxy) .hint").inner_text().startswith("No FID")
    summary = page.locator("table.summary tbody tr").all_inner_texts()
    assert [line.split("\t")[0] for line in summary] == ["DiffAugment", "ADA", "DA", "baseline"]


def test_markup_in_names_stays_text_in_rows_details_filters_and_comparison(page):
    for name in (HOSTILE, "</script><script>alert(2)</script>"):
        button = page.get_by_role("button", name=name)
        assert button.count() == 1
        button.click()
        page.select_option("#filters select[name=method]", name)
        assert shown(page) == f"1 of {ROWS} rows"
        assert page.locator("tr.detail:visible").count() == 1
        page.get_by_role("button", name="Clear").click()
        page.wait_for_selector(f"output:text-is('{ROWS} of {ROWS} rows')")
    assert page.locator("tr.detail p").first.inner_text() == f"skip: {HOSTILE}"
    assert page.locator("img[src=x]").count() == 0


def test_sort_by_keyboard_both_ways_and_announced(page):
    final = header(page, "proxy", "final")
    heading = page.locator("section:has(#board-proxy) th:has(button[data-key=final])")
    for key, direction in (("Enter", "ascending"), ("Space", "descending")):
        final.focus()
        page.keyboard.press(key)
        assert heading.get_attribute("aria-sort") == direction
        values = [float(text) for text in column(page, "proxy", 8) if text != "–"]
        assert len(values) == RUNS and values == sorted(values, reverse=direction == "descending")
        assert column(page, "proxy", 8)[-1] == "–"
    header(page, "proxy", "kimg").click()
    assert heading.get_attribute("aria-sort") is None


def test_sorting_by_value_never_mixes_metrics(page):
    page.select_option("#filters select[name=images]", "5000")
    for expected in (["22.4 ± 0.2", "39.78"], ["39.78", "22.4 ± 0.2"]):
        header(page, "published", "best").click()
        # The IS lies between the two FIDs and must stay outside them.
        assert column(page, "published", 7) in ([*expected, "25.0"], ["25.0", *expected])


def test_filters_and_search(page):
    page.select_option("#filters select[name=source]", "submitted")
    assert shown(page) == f"1 of {ROWS} rows" and not page.locator("#board-proxy").is_visible()
    page.select_option("#filters select[name=source]", "")
    page.select_option("#filters select[name=method]", "ADA")
    assert (
        column(page, "proxy", 2) == ["ADA"] * len(synthetic.SEEDS) and not page.locator("#board-published").is_visible()
    )
    page.select_option("#filters select[name=images]", "10000")
    assert shown(page) == f"0 of {ROWS} rows"
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector(f"output:text-is('{ROWS} of {ROWS} rows')")
    page.get_by_label("Search").fill("zhao diffaugment")
    assert shown(page) == f"3 of {ROWS} rows"


def test_a_view_is_linked_by_its_address(page, html, opened):
    page.select_option("#filters select[name=dataset]", "cifar10")
    page.select_option("#filters select[name=protocol]", "fid10k: vs test")
    header(page, "published", "best").click()
    header(page, "published", "best").click()
    page.get_by_role("button", name="DiffAugment").locator("visible=true").first.click()
    page.select_option("select[name=a]", "DiffAugment")
    page.select_option("select[name=b]", "baseline")
    values, address = column(page, "published", 7), page.evaluate("location.hash")
    assert values[:2] == ["39.78", "22.4 ± 0.2"] and "sort=-best" in address
    with opened(html, address) as again:
        assert column(again, "published", 7) == values and shown(again) == f"4 of {ROWS} rows"
        assert again.locator("tr.detail").count() == 1
        assert again.locator("#comparison tbody").count() == 2
    with opened(html, "#dataset=none-such&sort=nothing&row=filters&view=x&a=toString&b=__proto__") as again:
        assert shown(again) == f"{ROWS} of {ROWS} rows"


def test_comparison_sets_like_with_like(page):
    assert page.locator("#comparison table").count() == 0
    page.select_option("select[name=a]", "baseline")
    page.select_option("select[name=b]", "DiffAugment")
    proxies, published = page.locator("#comparison tbody").all()
    assert proxies.locator("tr").first.inner_text() == (
        "Proxy metrics: baseline is better in 0, DiffAugment in 4, unclear in 0"
    )
    n = len(synthetic.SEEDS)
    mean = sum(min(synthetic.distance("none", seed, kimg) for kimg in synthetic.KIMG) for seed in range(n)) / n
    cells = proxies.locator("tr >> nth=1").locator("td").all_inner_texts()
    assert cells[1].startswith(f"{mean:.2f} ± ") and cells[1].endswith(f"(n = {n})") and cells[4] == "DiffAugment"
    lines = [row.locator("th, td").all_inner_texts() for row in published.locator("tr").all()]
    assert lines[0] == ["Published numbers: baseline is better in 0, DiffAugment in 1, unclear in 1"]
    assert [line[1:] for line in lines[1:]] == [
        ["FID ↓", "39.78", "22.4 ± 0.2", "−17.38", "DiffAugment"],
        ["FID ↓", "23.08\nnot verified at its source", "23.1 ± 0.5", "+0.02", "unclear"],
    ]
    page.select_option("select[name=b]", "DA")
    assert page.locator("#comparison tbody").count() == 1


def test_a_number_that_is_not_ranked_comes_last_and_says_why(opened, tmp_path):
    """Of three methods: the first trains by the network that measures it, so that the second is ahead of all ranked."""
    values = {"projected": (1.0, 2.0), "ada": (10.0, 11.0), "none": (20.0, 21.0)}
    rows = [
        synthetic.row(method, seed, "fd", 1.0, value)
        for method, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    folder = tmp_path / synthetic.SCALE
    synthetic.write_rows(folder, rows)
    collect.main(["--rows", str(folder / "rows"), "--out", str(folder / "results.csv")])
    (folder / "published.csv").write_text(csv_text())
    with opened(write_page(folder)) as page:
        lines = page.locator("table.summary tbody tr")
        assert lines.locator("th").all_inner_texts() == ["ADA", "baseline", "projected not ranked"]
        assert lines.evaluate_all("all => all.map(each => each.className)") == ["winner", "", ""]
        assert "EfficientNet-Lite0" in lines.locator(".badge").get_attribute("title")
        assert "Bold: ahead of every other ranked method" in page.locator("section:has(#means) .hint").inner_text()
        for other, counts, better in (
            ("projected", "projected in 0, unclear in 0, not ranked in 1", "not ranked"),
            ("baseline", "baseline in 0, unclear in 0", "ADA"),
        ):
            page.select_option("select[name=a]", "ADA")
            page.select_option("select[name=b]", other)
            heading, line = page.locator("#comparison tbody tr").all()
            assert heading.inner_text() == f"Proxy metrics: ADA is better in {int(better == 'ADA')}, {counts}"
            assert line.locator("td").last.inner_text() == better


def test_picture_of_sizes_has_its_numbers_as_text(page):
    figure = page.locator("#view")
    assert page.locator("select[name=view] option").all_inner_texts() == [
        "cifar10, FID, Zhao et al., Table 1, BigGAN, fid10k"
    ]
    picture = figure.get_by_role("img", name="FID over the number of training images")
    assert picture.locator(".published polyline").count() == 2 and picture.locator(".doubt").count() == 1
    figure.locator("summary").click()
    cells = [row.locator("th, td").all_inner_texts() for row in figure.locator("table tr").all()]
    assert cells == [
        ["Method", "5,000", "10,000"],
        ["baseline", "39.78", "23.08\nnot verified at its source"],
        ["DiffAugment", "22.4 ± 0.2", "23.1 ± 0.5"],
    ]
    heights = picture.locator("g.ink-black circle").evaluate_all("marks => marks.map(mark => +mark.getAttribute('cy'))")
    assert heights[0] < heights[1], "a larger FID is drawn higher"


def test_opening_a_row_shows_curve_samples_provenance_and_command(page):
    pictures = [url for url in page.requested if "samples" in url]
    opener = page.get_by_role("button", name="ADA", exact=True).first
    detail = page.locator("tr.detail")
    assert pictures == [] and detail.count() == 0 and opener.get_attribute("aria-expanded") == "false"
    opener.focus()
    page.keyboard.press("Enter")
    assert detail.is_visible() and opener.get_attribute("aria-expanded") == "true"
    pictures_load(page)
    assert sorted(url.rsplit(".", 1)[1] for url in page.requested[1:]) == ["webp"] * 4
    widths = detail.locator("img").evaluate_all("pictures => pictures.map(picture => picture.clientWidth)")
    assert widths == [240, 240, 240, 320]
    chart = detail.get_by_role("img", name="FD (EfficientNet-Lite0) of ADA over training")
    assert len(chart.locator("polyline").get_attribute("points").split()) == 8
    captions = detail.locator("figcaption").all_inner_texts()[1:]
    assert [re.split("[, ]", caption)[0] for caption in captions] == ["Samples", "Samples", "Training", "Twice"]
    assert detail.get_by_role("img", name="Training images of elpv-mono 32 px").count() == 1
    text = detail.inner_text()
    runs = [spec.run_id for spec in synthetic.SPECS if spec.method == "ada"]
    assert any(f"snakemake --cores all results/{synthetic.SCALE}/rows/{run}/proxy.jsonl" in text for run in runs)
    assert "2.15.0" in text and "0" * 40 in text and "a proxy metric, not FID" in text
    detail.locator("summary").click()
    assert detail.locator("table.values tbody tr").count() == 8
    best = detail.locator("table.values td:nth-child(2)").all_inner_texts()
    assert min(best, key=float) == column(page, "proxy", 7)[column(page, "proxy", 2).index("ADA")]
    opener.click()
    assert detail.count() == 0


def test_length_is_set_against_the_published_one(page):
    page.select_option("#filters select[name=source]", "submitted")
    assert "0.08 % of the published 25,000" in page.locator("section:has(#board-submitted)").inner_text()


def test_phone_width_needs_no_sideways_scrolling(opened, html):
    with opened(html, "#a=DiffAugment&b=baseline", viewport={"width": 375, "height": 812}) as page:
        page.get_by_role("button", name="ADA", exact=True).first.click()
        page.locator(".detail summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        images = read("config/artefacts/demo.yaml")["grid"]["images"][0]
        assert f"elpv-mono 32 px, {images} images" in page.locator(".narrow").first.inner_text()


def test_every_control_has_a_name_and_is_reached_by_tab(page):
    controls = page.locator(
        "button:visible, select:visible, input:visible, a:visible, summary:visible, [tabindex]:visible"
    )
    names = [line for line in page.locator("body").aria_snapshot().splitlines()
             if re.match(r"\s*- (button|combobox|searchbox|link)\b(?! \")", line)]  # fmt: skip
    assert names == [] and controls.count() > 40
    reached = set()
    for _ in range(controls.count() + 1):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"BUTTON", "SELECT", "INPUT", "A", "SUMMARY", "DIV"} <= reached


def test_without_scripts_the_tables_can_be_read(opened, html):
    with opened(html, java_script_enabled=False) as page:
        assert page.locator("table.board tbody").count() == ROWS
        assert page.get_by_text("leaderboard.json").first.is_visible()
        assert not page.get_by_label("Search").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_ground(opened, html, scheme):
    """WCAG 2 contrast as rendered: at least 4.5 for every text, 3 for every line of the picture."""
    with opened(html, "#a=DiffAugment&b=baseline", color_scheme=scheme) as page:
        page.get_by_role("button", name="ADA", exact=True).first.click()
        page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        page.mouse.move(0, 0)
        pairs = page.evaluate(
            """() => [...document.querySelectorAll('body *')].flatMap((node) => {
                const style = getComputedStyle(node);
                const drawn = node.matches('.ink > polyline');
                const text = [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
                if (!node.checkVisibility() || !(text || drawn) || node.closest('script, .sr')) return [];
                let ground = node;
                const color = (each) => getComputedStyle(each).backgroundColor;
                while (ground !== document.body && color(ground) === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
                const ink = drawn ? style.stroke : node.closest('svg') ? style.fill : style.color;
                return [[ink, color(ground), drawn ? 3 : 4.5, node.outerHTML.slice(0, 80)]];
            })"""
        )

    def luminance(color):
        channels = [int(number) / 255 for number in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(pairs) > 300
    for ink, ground, least, node in pairs:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, (ink, ground, node)


def test_the_folder_works_wherever_it_lies(opened, html, tmp_path):
    shutil.copytree(html.parent, tmp_path / "else where")
    with opened(tmp_path / "else where" / "index.html") as page:
        page.get_by_role("button", name="ADA", exact=True).first.click()
        pictures_load(page)
        for name in ("leaderboard.csv", "leaderboard.json"):
            assert (tmp_path / "else where" / page.get_by_role("link", name=name).get_attribute("href")).is_file()
    assert not re.search(r"https?:", html.read_text())


def test_pictures_of_runs_that_are_gone_go(html, tmp_path):
    folder = tmp_path / "results" / synthetic.SCALE
    shutil.copytree(html.parent.parent, folder)
    run = synthetic.spec("ada", 0).run_id
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("page/samples/*/*/*.webp") if run not in str(path)}
    assert len(kept) == 3 * (RUNS - 1)
    lines = (folder / "results.csv").read_text().splitlines()
    (folder / "results.csv").write_text("\n".join(line for line in lines if run not in line) + "\n")
    write_page(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("page/samples/*/*/*.webp")} == kept
    assert not (folder / "page/samples" / run).exists()
