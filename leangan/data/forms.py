"""The file forms a set may have. Finds the form of a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leangan.data.contracts import DatasetError, Source
from leangan.data.discovery import FORM, files_with, load, not_read, unreadable


@dataclass(frozen=True)
class Form:
    """One form, defined in the file of its reader."""

    description: str
    """What messages call it: "a ZIP"."""

    recognises: Callable[[Path], bool]
    """Whether an existing file or folder has this form. Opens no more than it must."""

    open: Callable[[str, Path, str], Source]
    """The source with this name, at this path, under this licence."""

    last: bool = False
    """Tried last, because it also matches the other forms."""


def forms() -> tuple[list[Form], list[str]]:
    """The forms of all readers, in the order in which they are tried, and a line for each file that fails to load."""
    found, faults = [], [*unreadable().values()]
    for name, path in files_with(FORM).items():
        try:
            form = load(name).FORM
            if not isinstance(form, Form):
                raise TypeError(f"{FORM} is {form!r}, must be a Form of leangan.data.forms")
            found.append(form)
        except Exception as error:
            faults.append(f"{path}: {type(error).__name__}: {error}")
    return sorted(found, key=lambda form: form.last), faults


def form_of(path: Path) -> Form:
    """The form of the images at `path`. Raises DatasetError if it is none of the known ones."""
    known, faults = forms()
    for form in known:
        if form.recognises(path):
            return form
    *others, last = [form.description for form in reversed(known)]
    advice = f"give {', '.join(others)} or {last}"
    raise DatasetError(f"{path}: holds no images in a known form; {advice}{'.' * bool(faults)}{not_read(faults)}")


def open_path(name: str, path: Path, licence: str) -> Source:
    """The images at `path`, read in its form. Raises DatasetError."""
    return form_of(path).open(name, path, licence)
