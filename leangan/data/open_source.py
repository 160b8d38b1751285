"""From a data set's name to its source: a known set, or a path of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leangan.data.contracts import DatasetError, Expected, Source
from leangan.data.discovery import reader_of
from leangan.data.forms import open_path
from leangan.data.known_sets import TABLE, KnownSet, known_sets, locate
from leangan.data.readers.selection import Selection


def open_source(name: str, path: str | Path | None = None, table: Path = TABLE) -> Source:
    """The source called `name`; with `path` a set of the user's own, or where a known one lies.

    Raises ConfigError for an unknown name, DatasetError for a missing path or one for an embedded set.
    """
    file, known = locate(name, path, table), known_sets(table)
    if file is None:  # it comes with the installation
        return _embedded(known[name])
    if name not in known:
        return open_path(name, file, "not stated")
    row = known[name]
    if not file.exists():
        raise DatasetError(f"{file}: not downloaded yet: `leangan download --dataset {name} --out {file}`")
    source = reader_of(row.kind).open_set(row, file)
    source.expected = Expected(count=row.count)
    source.crop = row.crop
    source.resize = row.resize or source.resize
    return source


def _embedded(row: KnownSet) -> Source:
    """A set that comes with the installation, or the images of one of its classes, which `part` names."""
    whole = reader_of(row.location).open_set(row, None)
    if not row.part:
        return whole
    assert whole.labels is not None
    members = Selection(
        whole, np.flatnonzero(whole.labels == whole.class_names.index(row.part)).tolist(), labelled=False
    )
    members.name = row.name
    return members
