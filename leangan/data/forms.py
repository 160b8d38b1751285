"""The forms in which images of any set may lie, and which of them a path has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leangan.data.contracts import DatasetError, Source
from leangan.data.discovery import FORM, files_with, load


@dataclass(frozen=True)
class Form:
    """One form, as the file of its reader states it."""

    description: str
    """What messages call it: "a ZIP"."""

    recognises: Callable[[Path], bool]
    """Whether a file or folder that exists has this form; without opening more than it must."""

    open: Callable[[str, Path, str], Source]
    """The source with this name, at this path, under this licence."""

    last: bool = False
    """Asked after all others, since it recognises what they do, too."""


def forms() -> list[Form]:
    """The forms of all readers, in the order in which they are asked."""
    return sorted((load(name).FORM for name in files_with(FORM)), key=lambda form: form.last)


def open_path(name: str, path: Path, licence: str) -> Source:
    """The images at `path`, in the form that it has. Raises DatasetError where it has none."""
    for form in forms():
        if form.recognises(path):
            return form.open(name, path, licence)
    *others, last = [form.description for form in reversed(forms())]
    raise DatasetError(f"{path}: holds no images in a known form; give {', '.join(others)} or {last}")
