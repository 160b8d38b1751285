r"""The leaderboard: a static folder with a page of measured, published and submitted numbers, and the same as data.

    leangan page --results results/demo/results.csv --published results/published/published.csv \
        --rows results/demo/rows --out results/demo/page/index.html

The folder can be copied anywhere and opened as a file: style, script and curves are inside the page, pictures of
samples beside it, read when a row is opened. The page's content security policy admits its one style, its one script
and pictures of its own place, whatever a name in the results contains. docs/leaderboard.md describes folder and data.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leangan.core.command_line import command_parser
from leangan.core.files import write_atomic
from leangan.leaderboard import curve_geometry, export
from leangan.leaderboard.comparison import comparisons_of
from leangan.leaderboard.entry import Entry, sort_entries
from leangan.leaderboard.measured_entries import measured_entries
from leangan.leaderboard.progress import HEADINGS, Progress, progress_of
from leangan.leaderboard.published_entries import published_entries
from leangan.leaderboard.size_pictures import size_pictures
from leangan.leaderboard.standing import RANKINGS
from leangan.results import collect, sample_grids
from leangan.results.method_looks import COLOURS
from leangan.results.published import FILE, PublishedNumber, read_published
from leangan.results.scale_notes import MEANINGLESS, describe
from leangan.results.table import read_results
from leangan.runs.row import Row

TEMPLATES = Path(__file__).parent / "templates"
FONT = 11
"""Of the curves in opened rows, as page.css.j2 has it."""

HINTS = {
    "full": "Measured here under the published protocol, by committed code, after at least the published training "
    "length. Rank and value sort within one data set, number of images, protocol and metric.",
    "reduced": "Measured here, but no reproductions: shorter training, fewer generated images or a set-up of this "
    "project's own. Opening a row tells which. Ranks are among runs of one length.",
    "proxy": "No FID: the Fréchet distance in the features of another network. It orders the runs of this page; its "
    "values must not be set against published ones. Ranks are among runs of one length.",
    "submitted": "Measured by others, with the provenance that they gave, and ranked among themselves.",
    "published": "From papers. Ranks are among numbers verified at their source, under one protocol; quoted ones "
    "have none.",
}


def render(entries: list[Entry], papers: Sequence[PublishedNumber] = (), progress: Progress | None = None) -> str:
    """The page's HTML, one table per ranking, of `entries` (of sort_entries).

    `papers` (of read_published) completes the curves of measured runs; `progress` is how far the artefacts have been
    measured.
    """
    comparisons = comparisons_of(entries)
    pictures = size_pictures(comparisons, papers)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macros: Any = environment.get_template("macros.html.j2").module
    compared = [comparison for comparison in comparisons if len(comparison.scores) > 1]
    order = {group: i for i, group in enumerate(dict.fromkeys(entry.peers for entry in entries))}
    data = {
        "rows": {
            entry.id: {**entry.sort_keys(), "size": entry.images_text, "group": order[entry.peers], "place": place}
            for place, entry in enumerate(entries)
        },
        "details": {
            entry.id: macros.detail(entry, _curve(entry, 380, 220, (48, 24, 24, 36), FONT), MEANINGLESS)
            for entry in entries
        },
        "sparks": {
            entry.id: macros.spark(curve) for entry in entries if (curve := _curve(entry, 96, 24, (3, 3, 3, 3)))
        },
        "snapshots": {entry.id: _snapshots(entry) for entry in entries if entry.runs},
        "settings": [comparison.record() for comparison in compared],
        "views": {picture.id: macros.sizes(picture) for picture in pictures},
        "rankings": RANKINGS,
        "about": _about(entries),
    }
    style = environment.get_template("page.css.j2").render(colours=COLOURS)
    script = (TEMPLATES / "page.js").read_text()
    return environment.get_template("page.html.j2").render(
        boards={
            ranking: board for ranking in RANKINGS if (board := [e for e in entries if e.standing.ranking == ranking])
        },
        titles=RANKINGS,
        hints=HINTS,
        pictures=pictures,
        progress=progress,
        headings=HEADINGS,
        cards=[each for each in comparisons if each.first.source == "measured" and each.metric == each.first.metric],
        compared=alphabetical({method for comparison in compared for method in comparison.scores}),
        filters={
            name: alphabetical({getattr(entry, name) for entry in entries} - {None})
            for name in ("dataset", "images", "method", "protocol", "source")
        },
        scales={scale: describe(scale) for scale in sorted({entry.scale for entry in entries} - {""})},
        meaningless=MEANINGLESS,
        count=len(entries),
        data=_pack(data),
        style=Markup(style),
        style_digest=_digest(style),
        script=Markup(script),
        script_digest=_digest(script),
    )


def _about(entries: list[Entry]) -> str:
    """Which rows are on the page, for a link to one that is not."""
    scales = sorted({entry.scale for entry in entries} - {""})
    count = Counter(entry.source for entry in entries)
    measured = f" at scale {' and '.join(scales)}" if scales else ""
    return (
        f"Its rows: {count['measured']} measured{measured}, {count['submitted']} submitted, {count['published']} "
        "published. A row of another scale, or of a run that was trained otherwise, is on another page."
    )


def alphabetical(values: Iterable[str | int]) -> list[str | int]:
    """In one order whatever that of the values, with or without capitals: ADA before ada."""
    return sorted(sorted(values), key=lambda value: value.lower() if isinstance(value, str) else value)


def _curve(
    entry: Entry, width: int, height: int, margin: tuple[int, int, int, int], font: float = 0
) -> curve_geometry.Curve | None:
    """The judging metric over training; None for an entry that no training of ours stands behind."""
    for metric, run in entry.runs.items():
        shown = [(kimg, metric.in_label_unit(value)) for kimg, value in run.curve]
        return curve_geometry.curve(shown, run.best_kimg, width, height, margin, font)
    return None


def _snapshots(entry: Entry) -> list[list[str]]:
    """All values of a run as lines of a table, the heading first; as HTML they would be most of the page."""
    curves = [(metric, dict(run.curve)) for metric, run in entry.runs.items()]
    lines = [["kimg", *(metric.label for metric in entry.runs)]]
    lines += [
        [f"{kimg:,.9g}", *(metric.text(curve[kimg]) if kimg in curve else "–" for metric, curve in curves)]
        for kimg in sorted({kimg for _, curve in curves for kimg in curve})
    ]
    return lines


def _pack(data: dict[str, Any]) -> str:
    """Gzipped JSON in base64, the same for the same data: details of a thousand rows repeat each other."""
    return base64.b64encode(gzip.compress(json.dumps(data, allow_nan=False).encode(), mtime=0)).decode()


def _digest(text: str) -> str:
    """The digest by which a content security policy admits an inline element."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _collect(rows_dirs: list[Path], submitted: Path | None, out: Path) -> list[Row]:
    """All rows, also written as one table to `out`; there is no such file where there are none.

    A folder whose runs have no rows yet is left out and named on stderr.
    """
    for folder in (folder for folder in rows_dirs if folder.is_dir() and not collect.row_files(folder)):
        print(f"{folder} holds no rows yet.", file=sys.stderr)
        rows_dirs = [other for other in rows_dirs if other != folder]
    submitted = submitted if submitted and any(submitted.glob("*.json")) else None
    if not rows_dirs and not submitted:
        out.unlink(missing_ok=True)
        return []
    return collect.write(out, rows_dirs, submitted)


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "page",
        "Write the leaderboard page, its pictures and its data.",
        reads="Folders of rows, with the logs and pictures of their runs, submissions, and the table of published "
        "numbers.",
        writes="--out and, in the same folder, samples/, leaderboard.json and leaderboard.csv. Without --results "
        "also measurements.csv.",
    )
    parser.add_argument("--rows", nargs="*", default=[], metavar="FOLDER", type=Path, help="results/<scale>/rows")
    parser.add_argument(
        "--results", metavar="CSV", help="written by leangan collect; left out: it is called for --rows"
    )
    parser.add_argument("--submitted", metavar="FOLDER", type=Path, help="submissions, where --results is left out")
    parser.add_argument("--published", metavar="CSV", default=FILE, help="default: the numbers of the papers")
    parser.add_argument("--out", required=True, metavar="HTML", type=Path, help="in a folder of the page's own")
    args = parser.parse_args(argv)
    if args.results and not args.rows:
        parser.error("--results needs --rows, the folders that it was collected from")
    folder = args.out.parent
    if args.results:
        rows = read_results(args.results)
    else:
        rows = _collect(args.rows, args.submitted, folder / "measurements.csv")
    papers = read_published(args.published)
    measured = measured_entries(rows, *args.rows)
    entries = sort_entries([*measured, *published_entries(papers, measured)])
    html = render(entries, papers, progress_of(args.rows, papers))
    grids = [grid for entry in entries for grid in entry.grids]
    sample_grids.write_pictures(grids, folder)
    write_atomic(folder / "leaderboard.json", export.to_json(entries))
    write_atomic(folder / "leaderboard.csv", export.to_csv(entries))
    write_atomic(args.out, html)
    sample_grids.remove_other_pictures(grids, folder)
