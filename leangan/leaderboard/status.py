"""The table of what has been measured: how far each artefact has been, and whether it agrees with the papers.

    leangan status                                  prints it
    leangan status --write README.md docs/status.md  puts it between the markers in these files

It covers the scales whose rows the repository keeps. smoke and demo are left out, so
that the text is the same wherever the repository is checked out. docs/status.md explains the columns.
"""

from __future__ import annotations

from pathlib import Path

from leangan.artefacts.table_formats import markdown_escape, markdown_line
from leangan.core.command_line import command_parser
from leangan.core.files import write_atomic
from leangan.core.markers import between_markers
from leangan.core.project import ROOT, check_checkout
from leangan.core.yaml_files import read
from leangan.leaderboard.progress import HEADINGS, Progress, progress_of
from leangan.results.keep import NOT_KEPT
from leangan.results.published import FILE, read_published


def kept_rows(results: Path) -> list[Path]:
    """The folders of rows in `results` that the table is made of."""
    folders = [results / scale / "rows" for scale in read("config/scales.yaml") if scale not in NOT_KEPT]
    return [folder for folder in folders if folder.is_dir()]


def markdown(found: Progress) -> str:
    """A pipe table with a line below it; the line alone where there is nothing to show."""
    if not found.lines:
        return f"{found.rest}\n"
    rows = [HEADINGS, ["---"] * len(HEADINGS), *([*map(markdown_escape, line.cells)] for line in found.lines)]
    return "\n".join([*map(markdown_line, rows), "", found.rest, ""])


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "status",
        "Print or renew the table of what has been measured.",
        reads="The rows below --results that are in the index of git.",
        writes="The files of --write, between their markers; without --write the table is printed.",
    )
    parser.add_argument("--results", type=Path, default=ROOT / "results", metavar="FOLDER", help="default: results")
    parser.add_argument("--write", nargs="+", default=[], type=Path, metavar="FILE", help="files with the markers")
    args = parser.parse_args(argv)
    check_checkout("leangan status")
    table = markdown(progress_of(kept_rows(args.results), read_published(FILE)))
    if not args.write:
        print(table, end="")
    renewed = {path: between_markers(path.read_text(), "status", table, str(path)) for path in args.write}
    for path, text in renewed.items():
        write_atomic(path, text)
