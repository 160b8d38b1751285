"""Notes: what transforms drew and what layers of D saw, for the losses of the same step.

A transform or a layer calls `note("shift", shift)`. The training loop collects the notes of each transform whose
images D judges, and those of D's passes over them; a loss finds them in its context (`plugins.method.Step`). Notes of
other calls, such as the passes of a lazy regulariser or another view that a method asks for, are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Notes = dict[str, list[Tensor]]
"""Values by name, in the order in which they were noted."""

_open: ContextVar[tuple[Notes, ...]] = ContextVar("open", default=())


def note(name: str, value: Tensor) -> None:
    """Adds a value to all notes that are being collected."""
    for notes in _open.get():
        notes.setdefault(name, []).append(value)


@contextmanager
def collected() -> Iterator[Notes]:
    """Within it, notes also go into the dict that it gives."""
    notes: Notes = {}
    token = _open.set((*_open.get(), notes))
    try:
        yield notes
    finally:
        _open.reset(token)
