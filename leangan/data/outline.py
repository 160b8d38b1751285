"""What is known of a set before it is prepared: how many images it has, and in how many classes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from leangan.core.errors import did_you_mean
from leangan.data.contracts import DatasetError
from leangan.data.fingerprint import fingerprint
from leangan.data.image import FORMATS
from leangan.data.known_sets import known_sets, locate
from leangan.data.open_source import open_source

PREPARED = Path("resources/data")
"""Where the workflow keeps prepared sets, each with its description."""


@dataclass(frozen=True)
class Outline:
    """`count` images in `classes` classes that have images; no label makes 0 classes. None: not known."""

    count: int | None = None
    classes: int | None = None


def outline(name: str, resolution: int, path: str | None = None) -> Outline:
    """What is known of the set `name`, at `path` where that is given, for images of `resolution` pixels.

    Of a known set it is what its row says. Of other sets it is the description of the prepared array, if that is of
    the files as they are now or these are gone, else the list of the files. No image is decoded, and nothing is raised:
    of a source that cannot be opened nothing is known, and `check_source` says why.
    """
    row = known_sets().get(name)
    if row is not None:
        return Outline(row.count, row.classes)
    return _listed(name, resolution, path) if path is not None else Outline()


def described(meta: dict[str, Any]) -> Outline:
    """What the description of a prepared array says, see `data.contracts.Dataset`."""
    return _counted(meta["count"], meta["labels"])


def why_unconditional(name: str, known: Outline) -> str | None:
    """Why networks cannot learn the classes of the set `name`; None if they can, or if that is not known."""
    if known.classes is None or known.classes > 1:
        return None
    have = "have no labels" if known.classes == 0 else "are all of one class"
    return f"it is conditional, and the images of {name} {have}"


def check_source(name: str, resolution: int | None, path: str, where: str) -> None:
    """Raise DatasetError, in one line, unless the images of the set `name` can be read at `path`, given in `where`.

    For a missing path it offers the nearest name in its folder. A missing path is no error where the set is prepared,
    at `resolution` or, with None, at any. Of a known set the files are looked at when it is prepared.
    """
    change = f"Change datasets.{name}.path in {where}."
    place = Path(path)
    try:
        if not place.exists() and any(PREPARED.glob(f"{name}-{resolution or '[0-9]*'}.npy")):
            return
        _check_place(name, place, change)
        if name in known_sets():
            locate(name, path)
        elif description(name, resolution, path) is None and not len(open_source(name, path)):
            raise DatasetError(f"{name}: {path} holds no images. {change}")
    except OSError as error:
        raise DatasetError(f"{name}: {path} cannot be read ({error.strerror or error}). {change}") from None


def _check_place(name: str, place: Path, change: str) -> None:
    """Raise DatasetError unless something at `place` may be a set."""
    if not place.exists():
        raise DatasetError(f"{name}: {_nothing_at(place)} {change}")
    if place.is_dir():
        return
    if not place.is_file():
        raise DatasetError(f"{name}: {place} is neither a file nor a folder. {change}")
    if place.stat().st_size == 0:
        raise DatasetError(f"{name}: {place} is an empty file. {change}")
    if _is_picture(place):
        raise DatasetError(f"{name}: {place} is a single image; a set is a folder or a ZIP of images. {change}")


def _nothing_at(place: Path) -> str:
    """Where a missing path ends, and what is nearest to it there."""
    missing = place.absolute()
    while not missing.parent.exists():
        missing = missing.parent
    if not missing.parent.is_dir():
        return f"no file or folder {place}: {missing.parent} is a file."
    nearest = did_you_mean(missing.name, [each.name for each in missing.parent.iterdir()])
    return f"no file or folder {place}: {missing.parent} has no {missing.name!r}.{nearest}"


def _is_picture(file: Path) -> bool:
    try:
        with Image.open(file, formats=FORMATS):
            return True
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return False


def description(name: str, resolution: int | None, path: str) -> dict[str, Any] | None:
    """The description of the prepared array, if that is of the files at `path` as they are now, or these are gone."""
    file = PREPARED / f"{name}-{resolution}.json"
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
        fits = not Path(path).exists() or fingerprint(Path(path)) == meta["fingerprint"]
        return meta if fits and described(meta) else None
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged: the next preparation writes it
        return None


@cache
def _listed(name: str, resolution: int, path: str) -> Outline:
    """The outline of a set of the user's own, asked for once in each process: other files are another call."""
    if meta := description(name, resolution, path):
        return described(meta)
    try:
        source = open_source(name, path)
    except (DatasetError, OSError):
        return Outline()
    return _counted(len(source), None if source.labels is None else source.labels.tolist())


def _counted(count: int, labels: Collection[int] | None) -> Outline:
    return Outline(count, 0 if labels is None else len(set(labels)))
