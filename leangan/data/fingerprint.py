"""The fingerprint of a source: it shows a change by names, sizes and times of files, without reading them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

LOCK = "lock.mdb"  # of an LMDB; its readers write to it


def fingerprint(place: Path) -> str:
    """SHA-256, as 64 hex digits, over name, size and time of last change of every file below the folder `place`.

    If `place` is a file, the digest covers its size and time. The digest changes if a file is added, removed, renamed,
    overwritten or touched, at any depth of a folder. It depends neither on the order in which the file system lists the
    files nor on where the folder lies. As in `data.readers.folder`, names that begin with a dot are ignored,
    links to files are followed, and links to folders are ignored.

    Raises FileNotFoundError if `place` is missing, and OSError if part of it cannot be read.
    """
    files = _below(place, "") if place.is_dir() else [("", place.stat())]
    digest = hashlib.sha256()
    for name, stat in sorted(files, key=lambda file: file[0]):
        digest.update(stamp(name, stat))
    return digest.hexdigest()


def stamp(name: str, stat: os.stat_result) -> bytes:
    """The record of the file `name` that changes with it: name, size in bytes and time of last change in ns."""
    return json.dumps([name, stat.st_size, stat.st_mtime_ns]).encode()


def _below(folder: str | Path, prefix: str) -> list[tuple[str, os.stat_result]]:
    """(name relative to the source, stat) of the files in `folder` and its sub-folders, in no particular order."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == LOCK:
                continue
            if entry.is_dir(follow_symlinks=False):
                files += _below(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                files.append((prefix + entry.name, entry.stat()))
    return files
