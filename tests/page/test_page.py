"""The leaderboard in a real browser, opened from a file, without network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import synthetic

from report import page as command
from suite.config import read

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
PUBLISHED = """\
paper,artefact,dataset,train_images,model,method,conditional,metric,protocol,value,spread,source,verified
Zhao et al.,Table 1,cifar10,5000,BigGAN,baseline,yes,FID,fid10k: vs test,39.78,,README,yes
Zhao et al.,Table 1,cifar10,5000,BigGAN,DiffAugment,yes,FID,fid10k: vs test,22.4,± 0.2,README,yes
Zhao et al.,Table 1,cifar10,5000,BigGAN,DiffAugment,yes,IS,is10k,25.0,,README,yes
Karras et al.,Table 2,cifar100,9,BigGAN,</script><script>alert(2)</script>,yes,FID,fid10k: vs test,30.0,,memory,no
"""
RUNS = len(synthetic.SPECS)
ROWS = RUNS + 2 + 4
"""All lines of the boards: the runs, one skipped, one submitted, and what is published."""
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    folder = synthetic.write_demo(
        tmp_path_factory.mktemp("project") / "results" / synthetic.SCALE,
        [
            synthetic.failed("bcr", 0, "skip", HOSTILE, method_title=HOSTILE),
            synthetic.row("da", 5, "fid1k_full", 20.0, 33.0, proxy=False, source="submitted", published_kimg=25000),
        ],
    )
    (folder / "published.csv").write_text(PUBLISHED)
    command.main(["--results", str(folder / "results.csv"), "--published", str(folder / "published.csv"),
                  "--rows", str(folder / "rows"), "--out", str(folder / "page" / "index.html")])  # fmt: skip
    return folder / "page" / "index.html"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    with playwright.sync_playwright() as engine:
        instance = engine.chromium.launch(executable_path=BROWSER, args=OFFLINE)
        yield instance
        instance.close()


@pytest.fixture
def page(browser, html):
    """The page, and a check at the end that nothing was complained of, asked for or popped up."""
    complaints = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: complaints.append(f"request: {request.url}")
            if not request.url.startswith(("data:", html.as_uri())) else None)  # fmt: skip
    page.goto(html.as_uri())
    yield page
    context.close()
    assert complaints == []


def visible(page, board, cell):
    """The texts of one cell in all visible rows of a board, top to bottom."""
    return page.locator(
        f"table.board >> nth={board} >> tbody:visible > tr:first-child > :nth-child({cell})"
    ).all_inner_texts()


def test_page_is_self_contained_and_small(html):
    assert 20_000 < html.stat().st_size < 2_000_000
    assert "http:" not in html.read_text() and "https:" not in html.read_text()


def test_tables_and_their_order(page):
    assert page.locator("h2").all_inner_texts() == [
        "Measured: mean over seeds",
        "Proxy metrics",
        "FID, IS and KID",
    ]
    assert visible(page, 0, 1) == [*map(str, range(1, RUNS + 1)), "–"]
    assert page.locator("output").inner_text() == f"{ROWS} of {ROWS} rows"
    assert "a proxy, not FID" in page.locator("section:has(#board-1) .hint").inner_text()
    summary = page.locator("table.summary tbody tr").all_inner_texts()
    assert [line.split("\t")[0] for line in summary] == ["DiffAugment", "ADA", "DA", "baseline"]


def test_markup_in_names_stays_text(page):
    assert page.get_by_role("button", name=HOSTILE).count() == 1
    assert page.get_by_role("button", name="</script><script>alert(2)</script>").count() == 1
    assert page.locator("img[src=x]").count() == 0


def test_sort_by_keyboard_both_ways_and_announced(page):
    button = page.locator("table.board >> nth=0 >> button[data-key=kimg]")
    heading = page.locator("table.board >> nth=0 >> th:has(button[data-key=final])")
    final = page.locator("table.board >> nth=0 >> button[data-key=final]")
    final.focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in visible(page, 0, 8) if text != "–"]
    assert len(values) == RUNS and values == sorted(values) and visible(page, 0, 8)[-1] == "–"
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in visible(page, 0, 8) if text != "–"] == sorted(values, reverse=True)
    button.click()
    assert heading.get_attribute("aria-sort") is None


def test_sorting_by_value_never_mixes_metrics(page):
    page.select_option("select[name=dataset]", "cifar10")
    for expected in (["22.4 ± 0.2", "39.78"], ["39.78", "22.4 ± 0.2"]):
        page.locator("table.board >> nth=1 >> button[data-key=best]").click()
        values = visible(page, 1, 7)
        # The IS lies between the two FIDs and must stay outside them.
        assert values in ([*expected, "25.0"], ["25.0", *expected])


def test_filters_and_search(page):
    page.select_option("select[name=source]", "submitted")
    assert page.locator("output").inner_text() == f"1 of {ROWS} rows"
    assert not page.locator("#board-1").is_visible()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function(f"document.querySelector('output').textContent === '{ROWS} of {ROWS} rows'")
    page.get_by_label("Search").fill("zhao diffaugment")
    assert page.locator("output").inner_text() == f"2 of {ROWS} rows"
    page.get_by_label("Search").fill("no such thing")
    assert page.locator("output").inner_text() == f"0 of {ROWS} rows"


def test_opening_a_row_shows_curve_samples_provenance_and_command(page):
    opener = page.get_by_role("button", name="ADA", exact=True).first
    detail = page.locator(f"[id='{opener.get_attribute('aria-controls')}']")
    assert not detail.is_visible() and opener.get_attribute("aria-expanded") == "false"
    opener.focus()
    page.keyboard.press("Enter")
    assert detail.is_visible() and opener.get_attribute("aria-expanded") == "true"
    chart = detail.get_by_role("img", name="FD (EfficientNet-Lite0) of ADA over training")
    assert len(chart.locator("polyline").get_attribute("points").split()) == 8
    widths = detail.locator("img").evaluate_all("pictures => pictures.map(p => p.naturalWidth && p.clientWidth)")
    assert len(widths) == 3 and min(widths) > 100
    assert [name.split(",")[0] for name in detail.locator("figcaption").all_inner_texts()[1:]] == [
        "Samples", "Samples", "Training images"
    ]  # fmt: skip
    assert detail.get_by_role("img", name="Training images of elpv 32 px").count() == 1
    text = detail.inner_text()
    runs = [spec.run_id for spec in synthetic.SPECS if spec.method == "ada"]
    assert any(f"snakemake --cores all results/{synthetic.SCALE}/rows/{run}/proxy.jsonl" in text for run in runs)
    assert "2.15.0" in text and "0" * 40 in text
    detail.locator("summary").click()
    assert detail.locator("table.values tbody tr").count() == 8
    opener.click()
    assert not detail.is_visible()


def test_length_is_set_against_the_published_one(page):
    page.select_option("select[name=source]", "submitted")
    assert "0.08 % of the published 25,000" in page.locator("table.board >> nth=1").inner_text()


def test_phone_width_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_role("button", name="ADA", exact=True).first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    images = read("config/artefacts/demo.yaml")["grid"]["images"][0]
    assert f"elpv 32 px, {images} images" in page.locator(".narrow").first.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_ground(page, scheme):
    """WCAG 2 contrast of soft text and links against page and raised ground: at least 4.5."""
    page.emulate_media(color_scheme=scheme)
    names = ["text", "soft", "ground", "raised", "accent", "mark"]
    style = "getComputedStyle(document.documentElement)"
    colors = {name: page.evaluate(f"{style}.getPropertyValue('--{name}').trim()") for name in names}

    def luminance(hexadecimal):
        channels = [int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("ground", "raised"):
        for ink in ("text", "soft", "accent", "mark"):
            light, dark = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
