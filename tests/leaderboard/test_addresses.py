"""Links to parts of the page: a link opens what it cites and goes there, or says that the page does not have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leangan.leaderboard import page as command
from tests.helpers.synthetic import row, spec, write_rows, write_spec

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
LONG = "X" * 300


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """Runs of three methods, one of a hostile title and one of a long one, with all published numbers."""
    folder = tmp_path_factory.mktemp("project") / "hours"
    titles = {"none": "Baseline", "ada": "ADA", "mine": f"{HOSTILE} & “Größe”", "long": LONG}
    write_rows(
        folder,
        [row(method, seed, "fd", 20.0, 9.0 + seed, method_title=title)
         for method, title in titles.items() for seed in (0, 1)],
    )  # fmt: skip
    for seed in (0, 1):
        write_spec(folder, spec("ada", seed), config={"scale": "hours"})
    html = folder / "page/index.html"
    command.main(["--rows", str(folder / "rows"), "--out", str(html)])
    return html


@pytest.fixture(scope="module")
def records(html) -> list[dict]:
    return json.loads(html.with_name("leaderboard.json").read_text())["rows"]


def place(page, selector: str) -> float:
    """How far below the top of the window the first such element begins."""
    return page.locator(selector).first.evaluate("node => node.getBoundingClientRect().top")


def at_top(page, selector: str) -> bool:
    """Whether the window shows it first, below what always stays on top."""
    return 0 <= place(page, selector) < 260


def chosen(page) -> list[str]:
    return [page.locator(f"select[name={name}]").input_value() for name in "ab"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("names", ["a=ADA&b=Baseline", "a=ada&b=baseline", "b=Baseline&a=ADA"])
def test_a_cited_comparison_opens_and_is_gone_to(opened, html, names, width):
    with opened(html, f"#{names}", viewport={"width": width, "height": 900}) as page:
        assert chosen(page) == ["ADA", "Baseline"] and not page.locator("#notice").is_visible()
        assert at_top(page, "#compare") and page.locator("#comparison tbody").count() == 2
        assert page.get_by_role("link", name="Link to this comparison").get_attribute("href") == "#a=ADA&b=Baseline"


def test_back_and_forward_show_what_each_address_cites(opened, html, records):
    cited = next(record for record in records if record["method"] == "ADA" and record["source"] == "measured")
    with opened(html, f"#row={cited['id']}") as page:
        assert at_top(page, f"[id='{cited['id']}']") and page.locator("tr.detail").count() == 1
        page.evaluate("location.hash = '#a=ADA&b=Baseline'")
        page.wait_for_selector("#comparison table")
        assert at_top(page, "#compare") and page.locator("tr.detail").count() == 0
        page.go_back()
        page.wait_for_selector("tr.detail")
        assert at_top(page, f"[id='{cited['id']}']") and chosen(page) == ["", ""]
        assert page.locator("#comparison table").count() == 0
        page.go_forward()
        page.wait_for_selector("#comparison table")
        assert at_top(page, "#compare") and page.locator("tr.detail").count() == 0


def test_the_place_is_what_was_changed_last_and_the_picture_stays_the_cited_one(opened, html):
    with opened(html) as page:
        options = page.locator("select[name=view] option").evaluate_all("all => all.map(each => each.value)")
        shown = page.locator("select[name=view]").input_value()
        page.select_option("select[name=b]", "Baseline")
        page.select_option("select[name=a]", "ADA")
        address = page.evaluate("location.hash")
        assert shown == options[0] and address == f"#view={shown}&b=Baseline&a=ADA"
        page.select_option("select[name=view]", options[2])
        other = page.evaluate("location.hash")
    with opened(html, address) as page:
        assert at_top(page, "#compare")
    with opened(html, other) as page:
        assert at_top(page, "#sizes") and page.locator("select[name=view]").input_value() == options[2]
        label = page.locator(f"select[name=view] option[value='{options[2]}']").inner_text()
        assert label in page.locator("#view > figure > svg").get_attribute("aria-label")
        assert chosen(page) == ["ADA", "Baseline"]


@pytest.mark.parametrize(
    "address, words",
    [
        ("#row=0123456789", ["row “0123456789”", "8 measured at scale hours", "another scale"]),
        ("#view=abcdefgh", ["picture “abcdefgh”"]),
        ("#a=ADA&b=none-such", ["method to compare “none-such”"]),
        ("#dataset=none-such&images=7", ["data set “none-such”, training images “7”"]),
        ("#sort=nothing", ["column to sort by “nothing”"]),
        ("#artefact=ada-fig7", ["“artefact”", "“ada-fig7”"]),
        ("#toString", ["“toString”"]),
        ("#row=__proto__&%=%", ["row “__proto__”"]),
        (f"#row={HOSTILE}&method={HOSTILE}", [f"row “{HOSTILE}”"]),
    ],
)
def test_what_the_page_does_not_have_is_said(opened, html, address, words):
    with opened(html, address) as page:
        assert at_top(page, "#notice") and page.get_by_role("alert").is_visible()
        text = page.locator("#notice").inner_text()
        assert [word for word in words if word in text] == words
        assert page.locator("img[src=x]").count() == 0
        page.evaluate("location.hash = '#a=ADA&b=Baseline'")
        page.wait_for_selector("#comparison table")
        assert not page.locator("#notice").is_visible()


@pytest.mark.parametrize("address", ["#method=baseline", "#method=Baseline&sort=-best"])
def test_a_filter_goes_to_the_tables_and_names_have_one_spelling(opened, html, records, address):
    count = sum(record["method"] == "Baseline" for record in records)
    assert count > 2 and not any(record["method"] == "baseline" for record in records)
    with opened(html, address) as page:
        assert at_top(page, "#filters") and page.locator("output").inner_text().startswith(f"{count} of ")


def test_a_cited_row_is_shown_though_filters_leave_it_out_or_it_stands_far_down(opened, html, records):
    last = records[-1]
    for address in (f"#row={last['id']}", f"#dataset=none&method=ADA&row={last['id']}", f"#{last['id']}"):
        with opened(html, address) as page:
            assert page.locator("tr.detail:visible").count() == 1
            body = page.locator(f"[id='{last['id']}']")
            assert body.is_visible() and last["method"] in body.inner_text()


def test_contents_lead_to_every_section_and_leave_the_view(opened, html):
    with opened(html, "#method=ADA") as page:
        sections = page.locator("main section:visible h2").evaluate_all("all => all.map(each => each.id)")
        links = page.locator("#contents a:visible").evaluate_all("all => all.map(each => each.hash.slice(1))")
        assert links == sections and len(links) == 6
        for name in links:
            page.locator(f"#contents a[href='#{name}']").click()
            page.wait_for_function("name => location.hash === `#${name}`", arg=name)
            assert place(page, f"#{name}") >= place(page, "#contents") + 30
            assert place(page, f"#{name}") < 900
            assert page.locator("#filters select[name=method]").input_value() == "ADA"
            assert not page.locator("#notice").is_visible()
    with opened(html, "#board-published") as page:
        assert at_top(page, "#board-published"), "on a fresh load, too"


def test_long_tables_show_their_first_rows_and_a_count(opened, html, records):
    published = sum(record["source"] == "published" for record in records)
    rows = "section:has(#board-published) tbody:visible"
    with opened(html) as page:
        assert page.evaluate("document.documentElement.scrollHeight") < 9000
        assert page.locator(rows).count() == 25
        assert page.get_by_text(f"25 of {published} rows").is_visible()
        assert page.locator("#contents").get_by_text(f"Published numbers ({published})").is_visible()
        found = [record for record in records if record["method"] == "InsGen"]
        page.get_by_label("Search").fill("insgen")
        assert page.locator(rows).count() == len(found) > 0
        page.get_by_label("Search").fill("")
        page.get_by_role("button", name=f"Show all {published} rows").click()
        assert page.locator(rows).count() == published
        page.get_by_role("button", name="Show the first 25").click()
        assert page.locator(rows).count() == 25
        page.emulate_media(media="print")
        assert page.locator(rows).count() == published, "paper has no buttons"


def test_without_scripts_all_rows_and_the_contents_are_there(opened, html, records):
    with opened(html, java_script_enabled=False) as page:
        assert page.locator("table.board tbody:visible").count() == len(records)
        links = page.locator("#contents a:visible").evaluate_all("all => all.map(each => each.hash)")
        assert len(links) == 5 and "#compare" not in links
        page.locator("#contents a[href='#board-published']").click()
        assert at_top(page, "#board-published")


def test_long_and_hostile_titles_stay_text_inside_the_page(opened, html):
    title = f"{HOSTILE} & “Größe”"
    with opened(html, f"#a=ADA&b={LONG}", viewport={"width": 390, "height": 900}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.select_option("select[name=b]", title)
        page.get_by_role("button", name=title).first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        address = page.evaluate("location.hash")
    with opened(html, address) as page:
        assert chosen(page) == ["ADA", title] and page.locator("tr.detail").count() == 1
        assert page.locator("img[src=x]").count() == 0
        widths = page.locator("table.board").evaluate_all("all => all.map(each => each.clientWidth)")
        assert max(widths) < 2 * 1280
