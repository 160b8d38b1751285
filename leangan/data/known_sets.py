"""The data sets that the suite knows by name: the rows of sources.csv and of readers, and where their files lie.

Nothing here opens an image, so that a workflow can ask for a missing set before its first job starts.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from leangan.core.errors import ConfigError, unknown_name
from leangan.data.contracts import DatasetError
from leangan.data.discovery import not_read, stated_rows

TABLE = Path(__file__).with_name("sources.csv")

WHERE = "--dataset, or give your own set's ZIP file or folder with --path (config: datasets)"


@dataclass(frozen=True)
class KnownSet:
    """One row of sources.csv; text is empty where the row says nothing.

    kind: the reader, a file in leangan/data/readers/, of which `images` takes any known form; or `embedded`, for a set
    that comes with the installation. location: where the files are looked for unless a path is given; of an embedded
    set the reader. url, md5: the one file that is downloaded when missing, its name the location's. part: the folder
    within, where the set is one of several. count: images in the set; first: of a larger source, these are the first.
    classes: 0 where folders are no classes, else how many are, whatever they are called. crop, resize: as published.
    split_of: the set that this one is the held-out split of.
    """

    name: str
    kind: str
    location: str
    url: str
    md5: str
    part: str
    count: int | None
    first: bool
    classes: int | None
    crop: bool
    resize: str
    split_of: str
    licence: str
    note: str


def known_sets(table: Path = TABLE) -> dict[str, KnownSet]:
    """The rows of sources.csv by name, followed by those that readers state (`data.readers`).

    Another `table` replaces all of them. Raises DatasetError for a row of the table that does not fit. A reader's
    row that does not fit is left out; `locate` and `unknown_set` say so.
    """
    return _read(table)[0]


def unknown_set(name: str, table: Path = TABLE) -> ConfigError:
    """The error for a name that is no known set. It tells what could not be read, since the set may be there."""
    return ConfigError(f"{unknown_name('data set', name, known_sets(table), WHERE)}{sets_not_read(table)}")


def sets_not_read(table: Path = TABLE) -> str:
    """A sentence, after a space, with the faults of files and rows that are left out; "" if there are none."""
    return not_read(_read(table)[1].values())


@cache
def _read(table: Path) -> tuple[dict[str, KnownSet], dict[str, str]]:
    """The known sets by name; what is left out, by the set's name or the file's path, with its fault."""
    with table.open(newline="", encoding="utf-8") as file:
        content = csv.DictReader(file)
        rows = {row["name"]: _parsed(row, table) for row in content}
        empty = dict.fromkeys(content.fieldnames or (), "")
    if table != TABLE:
        return rows, {}
    stated, faults = stated_rows()
    for path, given in stated:
        name = str(given.get("name"))
        try:
            if name in rows:
                raise DatasetError(f"{path}, row {name!r}: there is a set of this name already; use another")
            rows[name] = _parsed({**empty, **given}, path)
        except DatasetError as error:
            faults[name] = str(error)
    return rows, faults


def _parsed(row: dict[str, Any], where: Path) -> KnownSet:
    """The row as a KnownSet. Raises DatasetError if it does not fit."""
    try:
        fields = {
            **row,
            "count": int(row["count"]) if row["count"] else None,
            "classes": int(row["classes"]) if row["classes"] != "" else None,
            **{key: _truth(key, row[key]) for key in ("first", "crop")},
        }
        return KnownSet(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{where}, row {row.get('name')!r}: does not fit the header ({error})") from error


def _truth(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("yes", "no", ""):
        raise ValueError(f"{key} is {value!r}, must be yes, no or empty")
    return value == "yes"


def locate(name: str, path: str | Path | None = None, table: Path = TABLE) -> Path | None:
    """The file or folder that the set `name` is read from; None for one that comes with the installation.

    It exists unless it is downloaded. `path` says where a set of the user's own, or a known one, lies. Raises
    ConfigError for an unknown name, DatasetError for a row that does not fit and, saying what to fetch and where to put
    it, for a missing file.
    """
    if fault := _read(table)[1].get(name):
        raise DatasetError(fault)
    row = known_sets(table).get(name)
    if row is not None and row.kind == "embedded":
        if path is not None:
            raise DatasetError(f"{name}: comes with the installation and takes no path; rename your own set")
        return None
    if path is not None:
        if Path(path).exists():
            return Path(path)
        needed = f": {row.note}. Correct the path" if row else "; put the set there or correct its path"
        raise DatasetError(f"{name}: no file or folder {path}{needed} (--path, or datasets in the config)")
    if row is None:
        raise unknown_set(name, table)
    location = Path(row.location)
    candidates = [location] if location.suffix else [location, location.with_name(f"{location.name}.zip")]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    if row.url:
        return location
    raise DatasetError(
        f"{name}: nothing at {' or '.join(map(str, candidates))}. Needed: {row.note}. Put it there, or say where it"
        f" lies: --config 'datasets={{{name}: {{path: ...}}}}'"
    )


def downloads(table: Path = TABLE) -> dict[str, str]:
    """The locations that are downloaded when missing, each with the first set that lies there."""
    names: dict[str, str] = {}
    for row in known_sets(table).values():
        if row.url:
            names.setdefault(row.location, row.name)
    return names


def find_test_split(name: str, table: Path = TABLE) -> str:
    """The set that holds the test images of `name`. Raises ConfigError when there is none."""
    splits = {row.split_of: row.name for row in known_sets(table).values() if row.split_of}
    if name not in splits:
        raise ConfigError(
            f"data set {name!r} has no test split (split_of in leangan/data/sources.csv); those of"
            f" {', '.join(sorted(splits))} have. Choose another protocol in the artefact, or add a row for the split"
        )
    return splits[name]


def is_amplified(name: str, images: int, table: Path = TABLE) -> bool:
    """Whether `images` of the known set `name` are all of them and their mirrored copies (arXiv:2006.06676, fig. 7)."""
    row = known_sets(table).get(name)
    return row is not None and row.count is not None and images == 2 * row.count
