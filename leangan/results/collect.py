"""Collect the rows of all runs into one tidy table.

    leangan collect --rows results/demo/rows --submitted results/submitted --out results/demo/results.csv

One line per run x snapshot x metric x label; a nested key `{"protocol": {"name": ...}}` becomes the column
`protocol.name`. The labels are those of the spec.json beside the rows: a run with two names has each row under both.
The order of lines and columns depends on these files alone, so the same files give the same bytes.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.spec import Labels, RunSpec
from leangan.results.metric_names import parse
from leangan.results.spec_file import read_spec
from leangan.results.submitted import read_submissions
from leangan.runs import rows

ORDER = [
    "dataset",
    "resolution",
    "images",
    "backbone",
    "preset",
    "method",
    "seed",
    "run",
    "protocol.name",
    "metric",
    "kimg",
]
KEY = ["run", "preset", "method", "protocol.name", "metric", "kimg", "source"]
"""The columns that identify a line, except of submitted rows."""

LocatedRow = tuple[str, dict[str, Any]]
"""(location, flattened row)"""


def flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The row without nesting: keys joined by dots."""
    flat = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def row_files(path: Path) -> list[Path]:
    """The files of rows (<dataset>-<size>/<run>/<protocol>.jsonl) in a folder, or `path` itself if it is a file."""
    files = [path] if path.is_file() else sorted(path.glob("*/*/*.jsonl"))
    return [file for file in files if file.name != "train.jsonl"]


def collect(paths: Iterable[str | Path], submitted: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """All rows of files and folders and the `submitted` ones (of `results.submitted`), flat and sorted.

    ConfigError names a folder without rows, an empty file, a spec.json of a run other than that of the rows beside it,
    or a line that is broken, repeats another or has an unknown metric.
    """
    files = {Path(path): row_files(Path(path)) for path in paths}
    for path in (path for path, of_path in files.items() if not of_path):
        raise ConfigError(f"{path} holds no rows (<dataset>-<size>/<run>/<protocol>.jsonl). Run snakemake first.")
    found = _reject_repeats(line for path in itertools.chain(*files.values()) for line in _lines_of(path))
    return _sort([*found, *map(flatten, submitted)])


def read_rows(specs: Iterable[RunSpec], protocol: str, rows_dir: Path) -> list[dict[str, Any]]:
    """The rows of these runs under one protocol, once for each label in `specs`, flat and sorted.

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
    content = rows.read(path)
    if not content:
        raise ConfigError(f"{path} holds no rows. Delete it and run the same command again to measure the run.")
    if (stated := read_spec(path.parent)) is not None:
        stated.check(content)
        labels = labels or stated.labels
    for number, row in enumerate(map(flatten, content), 1):
        where = f"{path}, line {number}"
        if run not in (None, row["run"]):
            raise ConfigError(f"{where}: found a row of {row['run']} in the folder of {run}.")
        _check(row, where)
        for each in [relabel(row, known) for known in labels] or [row]:
            yield where, each


def relabel(row: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """The flat row with these labels instead of those it was measured under."""
    names = {"preset": labels.preset, "method": labels.method, "method_title": labels.title}
    return {**row, **names, "published_kimg": labels.published_kimg}


def _reject_repeats(lines: Iterable[LocatedRow]) -> list[dict[str, Any]]:
    """The rows; ConfigError on duplicates."""
    found: dict[tuple, LocatedRow] = {}
    for where, row in lines:
        key = tuple(row[name] for name in KEY)
        if key in found:
            raise ConfigError(
                f"{where}: {row['metric'] or row['status']} of {row['run']} at kimg {row['kimg']} "
                f"is already in {found[key][0]}. Remove one of the two."
            )
        found[key] = where, row
    return [row for _, row in found.values()]


def _sort(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(table, key=lambda row: [_sortable(row[name]) for name in ORDER])


def _check(row: dict[str, Any], where: str) -> None:
    """ConfigError unless tables and page know what to make of a row that fits the schema."""
    if row["source"] == "reported":
        raise ConfigError(f"{where}: a paper's number is no row. Put it into results/published/published.csv.")
    if row["metric"]:
        parse(row["metric"], where)


def _sortable(value: Any) -> tuple:
    """None before numbers before text, so that a column of mixed types has an order."""
    if value is None:
        return (0,)
    return (2, value) if isinstance(value, str) else (1, value)


def _cell(value: Any) -> Any:
    """A value as it stands in the table. Readers of CSV take a carriage return for the end of a line, quoted or not."""
    if isinstance(value, str):
        return value.replace("\r", "\n")
    return json.dumps(value) if isinstance(value, bool | list) else value


def to_csv(table: list[dict[str, Any]]) -> str:
    """CSV with full precision: null is empty, a flag is true or false, a list is JSON."""
    known = dict.fromkeys(ORDER)
    return csv_text([*known, *sorted({key for row in table for key in row} - set(known))], table)


def csv_text(columns: list[str], table: Iterable[dict[str, Any]]) -> str:
    """The columns of a table as CSV, values as `to_csv` writes them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def write(out: str | Path, paths: Iterable[str | Path], submitted: Path | None = None) -> None:
    """Write all rows of files and folders to the CSV `out`, with the submissions in the folder `submitted`.

    What of these is not accepted is named on stderr; a ConfigError, as of `collect`, leaves `out` as it was.
    """
    accepted, rejections = read_submissions(submitted) if submitted else ([], [])
    for rejection in rejections:
        print(f"not accepted: {rejection}", file=sys.stderr)
    write_atomic(out, to_csv(collect(paths, accepted)))


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
