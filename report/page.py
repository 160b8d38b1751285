"""The leaderboard: one self-contained HTML page of measured, published and submitted numbers.

    python -m report.page --results results/demo/results.csv --published results/published/published.csv \\
        --rows results/demo/rows --out results/demo/page/index.html

The page asks the network for nothing: style, script, curves and sample images are inside. Its content
security policy admits that one style and that one script, whatever a name in the results contains.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from report.entries import Entry, board_order, measured_entries, published_entries, rank, scale_of, summaries
from report.published import read_published
from report.results import read_results
from suite.errors import ConfigError
from suite.files import write_atomic

TEMPLATES = Path(__file__).parent / "templates"


def render(measured: list[Entry], published: list[Entry], scale: str) -> str:
    """The page's HTML. Proxies have a table of their own, so that no order or rank mixes them with FID."""
    entries = [*measured, *published]
    rank(entries)
    entries.sort(key=board_order)
    order = {group: i for i, group in enumerate(dict.fromkeys(entry.group for entry in entries))}
    boards = {
        "Proxy metrics": [entry for entry in entries if entry.proxy],
        "FID, IS and KID": [entry for entry in entries if not entry.proxy],
    }
    style, script = ((TEMPLATES / name).read_text() for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        boards={title: board for title, board in boards.items() if board},
        data={
            title: [{**entry.sort_keys(), "group": order[entry.group]} for entry in board]
            for title, board in boards.items()
        },
        summaries=summaries(entries),
        filters={
            name: sorted({getattr(entry, name) for entry in entries}, key=str.lower)
            for name in ("dataset", "protocol", "source")
        },
        scale=scale,
        count=len(entries),
        style=Markup(style),
        style_digest=_digest(style),
        script=Markup(script),
        script_digest=_digest(script),
    )


def _digest(text: str) -> str:
    """The digest by which a content security policy admits an inline element."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the leaderboard page.")
    parser.add_argument("--results", required=True, metavar="CSV")
    parser.add_argument("--published", required=True, metavar="CSV")
    parser.add_argument("--rows", required=True, metavar="FOLDER", type=Path, help="results/<scale>/rows")
    parser.add_argument("--out", required=True, metavar="HTML")
    args = parser.parse_args(argv)
    measured = measured_entries(read_results(args.results), args.rows)
    published = published_entries(read_published(args.published))
    write_atomic(args.out, render(measured, published, scale_of(args.rows)))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"error: {error}")
