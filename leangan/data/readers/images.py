"""Reads a known set in any form: all images, one folder, or the first few."""

from __future__ import annotations

from pathlib import Path

from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import open_path
from leangan.data.known_sets import KnownSet
from leangan.data.readers.archive import Archive
from leangan.data.readers.selection import Selection, in_folder


def open_set(row: KnownSet, path: Path) -> Source:
    """The images of the known set `row` at `path`. Raises DatasetError."""
    if row.part and (path / row.part).is_dir():
        path = path / row.part
    source = open_path(row.name, path, row.licence)
    indices = in_folder(source.files, row.part) if row.part and isinstance(source, Archive) else range(len(source))
    if row.first and row.count is not None:
        indices = indices[: row.count]
    selection = Selection(source, indices, labelled=row.classes != 0)
    if row.classes and len(selection.class_names) != row.classes:
        raise DatasetError(
            f"{path}: {len(selection.class_names)} classes, while {row.name} has {row.classes}; labels come from"
            " class folders or from the dataset.json of a ZIP"
        )
    return selection
