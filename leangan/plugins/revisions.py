"""Revisions: how often the runs of a method or a backbone have become other runs.

A run's id covers no code. A class that is changed so that its runs draw other random numbers, or follow another law,
raises its `revision`, and they have other ids from then on. Revisions of 0 are left out, so that they change no id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from leangan.core.spec import RunSpec
from leangan.plugins import registry


def revisions_of(backbone: str, plugins: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, int]:
    """The revisions that a new run with these parts has (`RunSpec.revisions`).

    A part that cannot be used has none; its runs report why.
    """
    return {name: revision for name, revision in _present(backbone, plugins).items() if revision}


def other_revisions(*specs: RunSpec) -> dict[str, tuple[int, int]]:
    """(revision of the run, present revision) of the parts of runs in which the two differ, by name.

    The present code trains other runs in the place of these. Parts that are not there or cannot be used are left out.
    """
    return {
        name: (stated, present)
        for spec in specs
        for name, present in _present(spec.backbone, spec.plugins).items()
        if (stated := spec.revisions.get(name, 0)) != present
    }


def in_words(others: dict[str, tuple[int, int]]) -> str:
    """What `other_revisions` found in print: "revision 0 of ada, now 1"."""
    return "; ".join(f"revision {stated} of {name}, now {present}" for name, (stated, present) in others.items())


def _present(backbone: str, plugins: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, int]:
    """The present revisions of the parts that can be used, by name."""
    parts = [("backbone", backbone), *(("method", name) for name, _ in plugins)]
    classes = {name: registry.load(kind, name) for kind, name in parts if name in registry.names(kind)}
    return {name: cls.revision for name, cls in classes.items() if not isinstance(cls, registry.FailedImport)}
