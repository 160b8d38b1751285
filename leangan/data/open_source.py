"""From a data set's name to its source: the table sources.csv, or a path of the user's own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from leangan.data.contracts import DatasetError, Expected, Source
from leangan.data.known_sets import TABLE, KnownSet, known_sets, locate
from leangan.data.readers.archive import Archive
from leangan.data.readers.brecahad import Crops
from leangan.data.readers.cifar import Cifar
from leangan.data.readers.elpv import Elpv
from leangan.data.readers.folder import Folder
from leangan.data.readers.procedural import Procedural
from leangan.data.readers.selection import Selection, in_folder

EMBEDDED = {"package elpv-dataset": Elpv, "drawn by leangan/data/readers/procedural.py": Procedural}
"""The readers of the sets that come with the installation, by their location in sources.csv."""

FORMS = "a folder of images or class folders, a ZIP, a folder of TFRecords or an LMDB folder (data.mdb)"


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
    source = _published(row, file)
    source.expected = Expected(count=row.count)
    source.crop = row.crop
    source.resize = row.resize or source.resize
    return source


def open_path(name: str, path: Path, licence: str) -> Source:
    """The images at `path`, which is a folder, a ZIP, TFRecords or an LMDB. Raises DatasetError for anything else."""
    if path.suffix == ".tfrecords" or (path.is_dir() and any(path.glob("*.tfrecords"))):
        from leangan.data.readers.tfrecord import TFRecords

        return TFRecords(name, path, licence)
    if path.name == "data.mdb" or (path / "data.mdb").is_file():
        from leangan.data.readers.lsun_lmdb import LsunLmdb

        return LsunLmdb(name, path if path.is_dir() else path.parent, licence)
    if path.is_dir():
        return Folder(name, path, licence)
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":  # a damaged one is for its reader to explain
        return Archive(name, path, licence)
    raise DatasetError(f"{path}: holds no images in a known form; give {FORMS}")


def _embedded(row: KnownSet) -> Source:
    """A set that comes with the installation, or the images of one of its classes, which `part` names."""
    whole = EMBEDDED[row.location](row.licence, row.location)
    if not row.part:
        return whole
    assert whole.labels is not None
    members = Selection(
        whole, np.flatnonzero(whole.labels == whole.class_names.index(row.part)).tolist(), labelled=False
    )
    members.name = row.name
    return members


def _published(row: KnownSet, path: Path) -> Source:
    """The images of a known set in whichever of its published forms `path` has."""
    if row.kind == "cifar" and not zipfile.is_zipfile(path) and not (path / "dataset.json").is_file():
        return Cifar(row.name, path, row.licence)
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
    return Crops(selection) if row.kind == "brecahad" else selection
