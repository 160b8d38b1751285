"""Set-ups: everything that a run was trained with but its seed, which is the `setting` of its rows.

Runs of two set-ups are never seeds of one mean. Where a method has several of them, its titles say what differs:
"ADA (ada.target 0.4)" and "ADA (ada.target 0.6)".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from report.entry import Entry
from suite.spec import TRANSFER, RunSpec

DIGITS = 8
"""Of a setting, where nothing else tells two of them apart."""

PARENT = "parent."


def tell_apart(entries: Iterable[Entry], specs: Mapping[str, RunSpec]) -> None:
    """Change titles of methods so that no two set-ups share one where they could share a mean, a point or a rank.

    `specs` has the spec of each entry by its id, as far as they are known; where they say nothing, a title ends with
    the first digits of the setting. Entries that state no setting are of one set-up as long as no seed comes twice.
    """
    for family in _split(entries, lambda entry: (entry.method, *_family(entry))):
        places = _split(family, _place)
        ends = {entry.id: entry.set_up[:DIGITS] for entry in family if entry.set_up}
        for members in places:
            unstated = [entry for entry in members if entry.set_up is None]
            again = len({entry.seed for entry in unstated}) < len(unstated)
            ends |= {entry.id: entry.run.rsplit("/", 1)[-1] if again else "" for entry in unstated}
        values = {entry.id: values_of(specs[entry.id]) for entry in family if entry.id in specs}
        shown = _varying(family, values, _of_plugins)
        for members in places:
            shown |= _varying(members, values, lambda key: True)
        for entry in family:
            stated = [f"{key} {text}" for key, text in values.get(entry.id, {}).items() if key in shown]
            entry.method += f" ({', '.join(stated)})" if stated else ""
        for members in places:
            for of_title in _split(members, lambda entry: entry.method):
                if len({ends[entry.id] for entry in of_title}) > 1:
                    for entry in of_title:
                        entry.method += f" ({ends[entry.id]})" if ends[entry.id] else ""


def values_of(spec: RunSpec) -> dict[str, str]:
    """What the run was trained with, as printed: arguments by plugin.argument, those of its parent by parent.…

    Seeds are left out, and where the parent's networks lie, which is another place for each seed.
    """
    found: dict[str, Any] = {f"{name}.{key}": value for name, args in spec.plugins for key, value in args.items()}
    found |= spec.hyper
    found["plugins"] = "+".join(name for name, _ in spec.plugins)
    for key in ("dataset", "resolution", "images", "subset_seed", "subset_rule", "validation_images", "conditional",
                "backbone", "total_kimg", "snapshot_kimg", "tf32"):  # fmt: skip
        found[key] = getattr(spec, key)
    texts = {key: _text(value) for key, value in found.items()}
    if spec.parent is not None:
        texts.pop(f"{TRANSFER}.run", None)
        texts |= {f"{PARENT}{key}": text for key, text in values_of(spec.parent).items()}
    return texts


def _family(entry: Entry) -> tuple:
    """Where the titles of a method are to say the same of each set-up."""
    return entry.source, entry.credit, entry.dataset, entry.model, entry.protocol


def _place(entry: Entry) -> tuple:
    """Which entries of a family could share a mean."""
    ranking, level, length, _ = entry.peers
    return entry.images, ranking, level, length


def _split(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> list[list[Entry]]:
    found: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return list(found.values())


def _varying(entries: list[Entry], values: dict[str, dict[str, str]], wanted: Callable[[str], bool]) -> set[str]:
    """The keys of `values` that not all of the entries have, or not with the same value."""
    known = [values[entry.id] for entry in entries if entry.id in values]
    return {key for each in known for key in each if wanted(key) and len({other.get(key) for other in known}) > 1}


def _of_plugins(key: str) -> bool:
    return "." in key and not key.startswith(PARENT)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    return value if isinstance(value, str) else json.dumps(value)
