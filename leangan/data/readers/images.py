"""Reads a known set in any form: all images, one folder, or the first few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import form_of
from leangan.data.known_sets import KnownSet
from leangan.data.readers.named_files import NamedFiles
from leangan.data.readers.selection import Selection


def open_set(row: KnownSet, path: Path) -> Source:
    """The images of the known set `row` at `path`. Raises DatasetError."""
    part = row.part
    if part and (path / part).is_dir():
        path, part = path / part, ""
    opens: Any = form_of(path).open
    if isinstance(opens, type) and issubclass(opens, NamedFiles):
        source = opens(row.name, path, row.licence, part, row.classes)
    else:
        source = opens(row.name, path, row.licence)
    count = row.count if row.first and row.count is not None else len(source)
    selection = Selection(source, range(len(source))[:count], labelled=row.classes != 0)
    if row.classes and len(selection.class_names) != row.classes:
        raise DatasetError(
            f"{path}: {len(selection.class_names)} classes, while {row.name} has {row.classes}; labels come from"
            " class folders or from a dataset.json"
        )
    return selection
