"""A browser without network, and pages opened in it from files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    with playwright.sync_playwright() as engine:
        instance = engine.chromium.launch(executable_path=BROWSER, args=OFFLINE)
        yield instance
        instance.close()


@pytest.fixture
def opened(browser):
    """opened(html, hash="", **context) gives the page when its script has run.

    At the end nothing may have been complained of, popped up, or asked for outside the page's own folder.
    `page.requested` lists the files that were read.
    """

    @contextmanager
    def open_page(html: Path, hash: str = "", **options) -> Iterator:
        complaints = []
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        page.requested = []

        def on_request(request):
            page.requested.append(request.url)
            if not request.url.startswith(("data:", html.parent.as_uri())):
                complaints.append(f"request: {request.url}")

        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", on_request)
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.goto(html.as_uri() + hash)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]", timeout=60_000)
        yield page
        assert complaints == []
        context.close()

    return open_page
