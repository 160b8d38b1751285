"""Whether a source has changed, without reading it: names, sizes and times of its files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

LOCK = "lock.mdb"  # of an LMDB; every reader that locks writes it


def fingerprint(place: Path) -> str:
    """SHA-256, as 64 hex digits, over name, size and time of last change of `place`, or of every file below it.

    It changes with a file that is added, removed, renamed, overwritten or touched, at any depth of a folder, and
    depends neither on the order in which the file system lists them nor on where the folder lies. As for
    data.folder, names that begin with a dot do not count, links to files do, and links to folders do not.
    Raises FileNotFoundError where `place` is missing, OSError where part of it cannot be read.
    """
    files = _below(place, "") if place.is_dir() else [("", place.stat())]
    digest = hashlib.sha256()
    for name, stat in sorted(files, key=lambda file: file[0]):
        digest.update(stamp(name, stat))
    return digest.hexdigest()


def stamp(name: str, stat: os.stat_result) -> bytes:
    """What shows a change of the file `name`: its name, its size in bytes and the time of its last change, in ns."""
    return json.dumps([name, stat.st_size, stat.st_mtime_ns]).encode()


def _below(folder: str | Path, prefix: str) -> list[tuple[str, os.stat_result]]:
    """(name relative to the source, state) of the files in `folder` and its sub-folders, in no order."""
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
