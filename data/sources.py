"""From a data set's name to its source: the table sources.csv, or a path of the user's own."""

from __future__ import annotations

import csv
from pathlib import Path

from data.archive import Archive
from data.base import DatasetError, Source
from data.elpv import Elpv
from data.folder import Folder
from data.procedural import Procedural
from suite.errors import unknown_name

TABLE = Path(__file__).with_name("sources.csv")

WHERE = "--dataset, or give your own set's ZIP file or folder with --path (config: datasets)"

EMBEDDED = {"elpv": Elpv, "procedural": Procedural}


def known(table: Path = TABLE) -> dict[str, dict[str, str]]:
    """Rows of sources.csv by name: kind (embedded, archive or folder), location, licence, note."""
    with table.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def find(name: str, path: str | Path | None = None, table: Path = TABLE) -> Source:
    """The source called `name`; with `path` (ZIP file or folder) a set of the user's own.

    A path also says where a known, not embedded set lies if not at its location in the table.
    Raises ConfigError for an unknown name, DatasetError for a missing path or one for an embedded set.
    """
    rows = known(table)
    row = rows.get(name)
    if row is not None and row["kind"] == "embedded":
        if path is not None:
            raise DatasetError(f"{name}: comes with the installation and takes no path; rename your own set")
        return EMBEDDED[name](row["licence"], row["location"])
    if path is None and row is None:
        raise unknown_name("data set", name, rows, WHERE)
    licence = row["licence"] if row else "not stated"
    path = Path(path if path is not None else row["location"])
    if path.is_dir():
        return Folder(name, path, licence)
    if path.is_file():
        return Archive(name, path, licence)
    note = f" ({row['note']})" if row else ""
    raise DatasetError(f"{name}: no file or folder {path}{note}; put the set there or give its path")
