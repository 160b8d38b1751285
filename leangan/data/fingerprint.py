"""The fingerprint of a source: it shows a change by names, sizes and times of files, without reading them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from leangan.data.tree import walk

LOCK = "lock.mdb"  # of an LMDB; its readers write to it


def fingerprint(place: Path) -> str:
    """SHA-256, as 64 hex digits, over name, size and time of last change of every file below the folder `place`.

    If `place` is a file, the digest covers its size and time. The digest changes if a file is added, removed, renamed,
    overwritten or touched, at any depth of a folder. It depends neither on the order in which the file system lists the
    files nor on where the folder lies. `data.tree` says which files these are: links are followed, hidden files are
    passed over, and what cannot be read counts by its name.

    Raises FileNotFoundError if `place` is missing.
    """
    digest = hashlib.sha256()
    for line in _lines(place) if place.is_dir() else [stamp("", place.stat())]:
        digest.update(line)
    return digest.hexdigest()


def stamp(name: str, stat: os.stat_result) -> bytes:
    """The record of the file `name` that changes with it: name, size in bytes and time of last change in ns."""
    return json.dumps([name, stat.st_size, stat.st_mtime_ns]).encode()


def _lines(folder: Path) -> list[bytes]:
    tree = walk(folder)
    files = [stamp(name, entry.stat()) for name, entry in sorted(tree.files.items()) if entry.name != LOCK]
    return files + [json.dumps(name).encode() for name in sorted(tree.faults)]
