"""Collect the rows of all runs into one tidy table.

    leangan collect --rows results/demo/rows --submitted results/submitted --out results/demo/results.csv

One line per run x snapshot x metric x label. The labels are those of the spec.json beside the rows: a run with two
names has each row under both. The order of lines and columns depends on these files alone, so the same files give the
same bytes.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.spec import Labels, RunSpec
from leangan.results.metric_names import check_metric
from leangan.results.spec_file import read_spec
from leangan.results.submitted import read_submissions
from leangan.results.table import to_csv
from leangan.runs import rows
from leangan.runs.row import Row

LocatedRow = tuple[str, Row]
"""(location, row)"""


def row_files(path: Path) -> list[Path]:
    """The files of rows (<dataset>-<size>/<run>/<protocol>.jsonl) in a folder, or `path` itself if it is a file."""
    files = [path] if path.is_file() else sorted(path.glob("*/*/*.jsonl"))
    return [file for file in files if file.name != "train.jsonl"]


def read_file(path: Path) -> list[Row]:
    """The rows of one file. Raises ConfigError for a line that is broken or whose metric does not fit the row."""
    content = rows.read(path)
    for number, row in enumerate(content, 1):
        check_metric(row, f"{path}, line {number}")
    return content


def collect(paths: Iterable[str | Path], submitted: Iterable[Row] = ()) -> list[Row]:
    """All rows of files and folders and the `submitted` ones (of `results.submitted`), sorted.

    ConfigError names a folder without rows, an empty file, a spec.json of a run other than that of the rows beside it,
    or a line that is broken, repeats another or has an unknown metric.
    """
    files = {Path(path): row_files(Path(path)) for path in paths}
    for path in (path for path, of_path in files.items() if not of_path):
        raise ConfigError(f"{path} holds no rows (<dataset>-<size>/<run>/<protocol>.jsonl). Run snakemake first.")
    found = _reject_repeats(line for path in itertools.chain(*files.values()) for line in _lines_of(path))
    return _sort([*found, *submitted])


def read_rows(specs: Iterable[RunSpec], protocol: str, rows_dir: Path) -> list[Row]:
    """The rows of these runs under one protocol, once for each label in `specs`, sorted.

    `rows_dir` is results/<scale>/rows. Runs without rows there are left out. Raises ConfigError like `collect`.
    """
    labels: dict[str, list[Labels]] = {}
    for spec in specs:
        labels.setdefault(spec.run_id, []).append(spec.labels)
    files = {run: rows_dir / run / f"{protocol}.jsonl" for run in labels}
    lines = (_lines_of(path, labels[run], run) for run, path in files.items() if path.is_file())
    return _sort(_reject_repeats(itertools.chain.from_iterable(lines)))


def _lines_of(path: Path, labels: Sequence[Labels] = (), run: str | None = None) -> Iterator[LocatedRow]:
    """The rows of a file, once for each label: those of `labels`, else those of spec.json, else the rows' own.

    If `run` is given, the rows must belong to it.
    """
    content = read_file(path)
    if not content:
        raise ConfigError(f"{path} holds no rows. Delete it and run the same command again to measure the run.")
    if (stated := read_spec(path.parent)) is not None:
        stated.check(content)
        labels = labels or stated.labels
    for number, row in enumerate(content, 1):
        where = f"{path}, line {number}"
        if run not in (None, row.run):
            raise ConfigError(f"{where}: found a row of {row.run} in the folder of {run}.")
        for each in [relabel(row, known) for known in labels] or [row]:
            yield where, each


def relabel(row: Row, labels: Labels) -> Row:
    """The row with these labels instead of those it was measured under."""
    names = {"preset": labels.preset, "method": labels.method, "method_title": labels.title}
    return row.model_copy(update={**names, "published_kimg": labels.published_kimg})


def _reject_repeats(lines: Iterable[LocatedRow]) -> list[Row]:
    """The rows; ConfigError on duplicates."""
    found: dict[tuple, LocatedRow] = {}
    for where, row in lines:
        key = row.run, row.preset, row.method, row.protocol.name, row.metric, row.kimg, row.source
        if key in found:
            raise ConfigError(
                f"{where}: {row.metric or row.status} of {row.run} at kimg {row.kimg} "
                f"is already in {found[key][0]}. Remove one of the two."
            )
        found[key] = where, row
    return [row for _, row in found.values()]


def _sort(found: list[Row]) -> list[Row]:
    """By the columns on the left of the table; a row without a snapshot comes before those with one."""
    return sorted(
        found,
        key=lambda row: (row.dataset, row.resolution, row.images, row.backbone, row.preset, row.method, row.seed,
                         row.run, row.protocol.name, row.metric, -1 if row.kimg is None else row.kimg),
    )  # fmt: skip


def write(out: str | Path, paths: Iterable[str | Path], submitted: Path | None = None) -> list[Row]:
    """Write all rows of files and folders to the CSV `out`, with the submissions in the folder `submitted`.

    Returns them. What of the submissions is not accepted is named on stderr; a ConfigError, as of `collect`, leaves
    `out` as it was.
    """
    accepted, rejections = read_submissions(submitted) if submitted else ([], [])
    for rejection in rejections:
        print(f"not accepted: {rejection}", file=sys.stderr)
    found = collect(paths, accepted)
    write_atomic(out, to_csv(found))
    return found


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "collect",
        "Collect the rows of runs into one table.",
        reads="Folders or files of rows, and submissions.",
        writes="--out: a CSV, one line per run, snapshot, metric and label.",
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="PATH", help="folders or JSONL files")
    parser.add_argument(
        "--submitted", type=Path, metavar="FOLDER", help="submissions, see leangan/results/submitted.py"
    )
    parser.add_argument("--out", required=True, metavar="CSV", help="the table to write")
    args = parser.parse_args(argv)
    write(args.out, args.rows, args.submitted)
