"""Set-ups: the runs that are seeds of one mean, because they agree in setting and origin.

A setting is everything a run is trained with except its seed; its origin is described in leangan/results/origin.py. If
a method has several set-ups, its titles say what differs: "ADA (ada.target 0.4)" and "ADA (ada.target 0.6)", "ADA
(revision of ada 1)" or "ADA (code of ada 1a2b3c4d)".
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from leangan.core.spec import TRANSFER, RunSpec
from leangan.leaderboard.entry import Entry
from leangan.results.origin import CLASSES, CODE, DATA, DIGITS, HALF, IMAGES, TF32, differing_keys, in_words

PARENT, REVISION = "parent.", "revision of "


def tell_apart(entries: Iterable[Entry], specs: Mapping[str, RunSpec]) -> list[Entry]:
    """The entries with titles of methods that no two set-ups share where they could share a mean, a point or a rank.

    `specs` has the known specs by the ids of their entries. If they do not say what differs, the title ends with the
    first digits of the setting. Entries without a setting are of one setting unless a seed comes twice. An origin
    counts as far as it is stated.
    """
    entries = list(entries)
    origins = _origin_keys_to_show(entries)
    words: dict[str, list[str]] = {}
    for family in _split(entries, lambda entry: (entry.method, *_family(entry))):
        places = _split(family, _place)
        values = {entry.id: values_of(specs[entry.id]) for entry in family if entry.id in specs}
        shown = _varying_keys(family, values, _is_of_method)
        for members in places:
            shown |= _varying_keys(members, values, lambda key: True)
        for entry in family:
            of_setting = [f"{key} {text}" for key, text in values.get(entry.id, {}).items() if key in shown]
            of_origin = [in_words(key, value) for key, value in entry.origin.items() if key in origins[entry.id]]
            words[entry.id] = of_setting + of_origin
        for members in places:
            ends = _ends(members)
            for of_title in _split(members, lambda entry: tuple(words[entry.id])):
                if len({ends[entry.id] for entry in of_title}) > 1:
                    for entry in of_title:
                        words[entry.id] += filter(None, [ends[entry.id]])
    titles = {key: f" ({', '.join(said)})" if said else "" for key, said in words.items()}
    return [dataclasses.replace(entry, method=entry.method + titles[entry.id]) for entry in entries]


def values_of(spec: RunSpec) -> dict[str, str]:
    """What the run was trained with, as printed: arguments by plugin.argument, those of its parent by parent.…

    Revisions of 0, which a spec leaves out, are among it. Seeds are left out, and so is the parent's id, which differs
    per seed. A file is named by the digits of its sha256.
    """
    found: dict[str, Any] = {f"{name}.{key}": value for name, args in spec.plugins for key, value in args.items()}
    found |= spec.hyper
    names = [name for name, _ in spec.plugins]
    found["plugins"] = "+".join(names)
    found |= {f"{REVISION}{name}": spec.revisions.get(name, 0) for name in (spec.backbone, *names)}
    for key in ("dataset", "resolution", "images", "subset_seed", "subset_rule", "validation_images", "conditional",
                "backbone", "total_kimg", "snapshot_kimg", "tf32"):  # fmt: skip
        found[key] = getattr(spec, key)
    texts = {key: _text(value) for key, value in found.items()}
    if spec.parent is not None:
        texts.pop(f"{TRANSFER}.run", None)
        texts |= {f"{PARENT}{key}": text for key, text in values_of(spec.parent).items()}
    return texts


def _origin_keys_to_show(entries: list[Entry]) -> dict[str, set[str]]:
    """By the id of each entry: the keys of its origin that its title must show."""
    shown: dict[str, set[str]] = {entry.id: set() for entry in entries}

    def show(members: list[Entry], keys: Iterable[str]) -> None:
        for entry in members:
            shown[entry.id].update(keys)

    # Methods are compared on one data set, so that the data differ between methods, too.
    for members in _split(entries, lambda entry: (entry.source, entry.credit, entry.dataset)):
        show(members, _differing_keys(members) & {DATA, CLASSES})
    for family in _split(entries, lambda entry: (entry.method, *_family(entry))):
        show(family, {key for key in _differing_keys(family) if key.startswith(CODE)})
        for members in _split(family, lambda entry: (_place(entry), entry.set_up)):
            show(family, _differing_keys(members) & {TF32, HALF})
            # Other data are other images in any case.
            for of_data in _split(members, lambda entry: entry.origin.get(DATA)):
                show(of_data, _differing_keys(of_data) & {IMAGES})
    return shown


def _differing_keys(entries: list[Entry]) -> set[str]:
    return set(differing_keys(entry.origin for entry in entries))


def _ends(members: list[Entry]) -> dict[str, str]:
    """By the id of each entry of one place: what its title ends with if nothing else tells it from another.

    That is the first digits of its setting. Without a setting it is the run's folder if a seed comes twice.
    """
    unstated = [entry for entry in members if entry.set_up is None]
    again = len({entry.seed for entry in unstated}) < len(unstated)
    ends = {entry.id: entry.set_up[:DIGITS] for entry in members if entry.set_up is not None}
    return ends | {entry.id: entry.run.rsplit("/", 1)[-1] if again else "" for entry in unstated}


def _family(entry: Entry) -> tuple:
    """Entries that share a method and this have titles that show the same values."""
    return entry.source, entry.credit, entry.dataset, entry.model, entry.protocol


def _place(entry: Entry) -> tuple:
    """Entries of a family that share this could share a mean."""
    ranking, level, length, _ = entry.peers
    return entry.images, ranking, level, length


def _split(entries: Iterable[Entry], key: Callable[[Entry], Hashable]) -> list[list[Entry]]:
    found: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return list(found.values())


def _varying_keys(entries: list[Entry], values: dict[str, dict[str, str]], wanted: Callable[[str], bool]) -> set[str]:
    """The keys of `values` for which the entries have different values, or which some of them lack."""
    known = [values[entry.id] for entry in entries if entry.id in values]
    return {key for each in known for key in each if wanted(key) and len({other.get(key) for other in known}) > 1}


def _is_of_method(key: str) -> bool:
    return not key.startswith(PARENT) and ("." in key or key.startswith(REVISION))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict) and "sha256" in value:
        return str(value["sha256"])[:DIGITS]
    return value if isinstance(value, str) else json.dumps(value)
