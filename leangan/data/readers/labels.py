"""Class labels of a custom set, from the `dataset.json` of the ecosystem's ZIP form."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from leangan.core.errors import first_few
from leangan.core.files import parse_json
from leangan.data.contracts import DatasetError

FILE_NAME = "dataset.json"

MAX_CLASSES = 2**16  # one label of 10^9 would make as many classes


def parse_labels(content: bytes, files: Sequence[str], where: str) -> tuple[np.ndarray | None, list[str]]:
    """Labels of `files` from the content of a dataset.json: (int64 [N] in file order, class names).

    The form is {"labels": [[file, class], ...] or null, "classes": [name, ...] (optional)}, in UTF-8 or with a
    byte-order mark in UTF-16. Without labels the result is (None, []). Every file needs exactly one label; `resolve`
    says how names are understood. Without "classes" every number up to the largest must be that of an image. Those that
    are named may have none, as in a training subset. Raises DatasetError.
    """
    parsed = _parse(content, where)
    if "labels" not in parsed:
        there = f"it has {first_few([*map(repr, parsed)])}" if parsed else "it is empty"
        raise DatasetError(f'{where}: lacks the key "labels" ({there}); "labels": null says that there are none')
    entries = parsed["labels"]
    if entries is None:
        return None, []
    if not isinstance(entries, list):
        raise DatasetError(f'{where}: "labels" must be a list or null, not {type(entries).__name__}')
    given = [_check_entry(entry, where) for entry in entries]
    meant = resolve([name for name, _ in given], files)
    unknown = [name for name, _ in given if name not in meant]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        raise DatasetError(
            f"{where}: labels {first_few(unknown)}, which {verb} not among the {len(files)} images ({first_few(files)})"
        )
    label_of: dict[str, int] = {}
    for name, label in given:
        if meant[name] in label_of:
            raise DatasetError(f"{where}: labels {name} twice")
        label_of[meant[name]] = label
    missing = [file for file in files if file not in label_of]
    if missing:
        raise DatasetError(f"{where}: {len(label_of)} labels for {len(files)} images; {first_few(missing)} without one")

    labels = np.array([label_of[file] for file in files], dtype=np.int64)
    names = parsed.get("classes")
    if names is None:
        unused = sorted(set(range(labels.max() + 1)).difference(labels.tolist()))
        if unused:
            raise DatasetError(
                f"{where}: labels go up to {labels.max()}, and no image has {first_few([*map(str, unused)])}; number"
                ' the classes from 0 without gaps, or name them all, in the order of their numbers, as "classes"'
            )
        return labels, [str(label) for label in range(labels.max() + 1)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DatasetError(f'{where}: "classes" must be a list of names')
    if labels.max() >= len(names):
        file = files[int(labels.argmax())]
        raise DatasetError(
            f"{where}: {file} has label {labels.max()}, but there are {len(names)} classes, which count from 0"
        )
    return labels, names


def resolve(names: Iterable[str], files: Sequence[str]) -> dict[str, str]:
    r"""The file that each of `names` means, without those that mean none.

    Names may have \ for /, ./ in front, accents stored apart from their letters, and the folders above the files, or
    not those that all files share: then what follows the folder that all names share must be the same on both sides.
    """
    plain = {name: _key(name) for name in names}
    by_key = {_key(file): file for file in files}
    if len(by_key) < len(files):  # only how an accent is stored tells two of them apart
        return {name: name for name in plain.keys() & set(files)}
    if not by_key.keys() >= set(plain.values()):
        theirs, ours = _shared_folder(plain.values()), _shared_folder(by_key)
        short = {key[len(ours) :]: file for key, file in by_key.items()}
        related = f"/{theirs}".endswith(f"/{ours}") or f"/{ours}".endswith(f"/{theirs}")
        if related and {key[len(theirs) :] for key in plain.values()} == short.keys():
            return {name: short[key[len(theirs) :]] for name, key in plain.items()}
    return {name: by_key[key] for name, key in plain.items() if key in by_key}


def plain_name(name: str) -> str:
    r"""A name as others write it: / between its parts where Windows has \, nothing in front, no empty parts."""
    return re.sub(r"(?:^|(?<=/))(?:\./|/)", "", name.replace("\\", "/"))


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", plain_name(name))


def _shared_folder(names: Iterable[str]) -> str:
    """The folder that all names begin with, with a / at the end, or ""."""
    folders = [name.split("/")[:-1] for name in names]
    ends = zip(min(folders), max(folders), strict=False)  # what these two share, all share
    return "".join(f"{step}/" for step, other in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))


def _parse(content: bytes, where: str) -> dict[str, Any]:
    """The object in a dataset.json."""
    try:
        text = content.decode(json.detect_encoding(content))
        parsed = parse_json(text)
        json.loads(text, object_pairs_hook=_check_keys)
    except ValueError as error:
        raise DatasetError(f"{where}: not valid JSON ({error}); write it anew, in UTF-8") from error
    if not isinstance(parsed, dict):
        raise DatasetError(f'{where}: must be an object {{"labels": ...}}, not {type(parsed).__name__}')
    return parsed


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise ValueError(f"holds {key!r} {times} times")


def _check_entry(entry: Any, where: str) -> tuple[str, int]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
        raise DatasetError(f"{where}: label entry {entry!r} is not [file, class]")
    file, label = entry
    if type(label) is not int:  # bool is an int, too
        raise DatasetError(f"{where}: label {label!r} of {file} is not an integer")
    if label < 0:
        raise DatasetError(f"{where}: label {label} of {file} is negative; classes count from 0")
    if label >= MAX_CLASSES:
        raise DatasetError(f"{where}: label {label} of {file}; number the classes from 0, {MAX_CLASSES} at most")
    return file, label
