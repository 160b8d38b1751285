"""Class labels of a custom set, from the `dataset.json` of the ecosystem's ZIP form."""

from __future__ import annotations

from typing import Any

import numpy as np

from leangan.core.files import parse_json
from leangan.data.contracts import DatasetError

FILE_NAME = "dataset.json"

MAX_CLASSES = 2**16  # one label of 10^9 would make as many classes


def parse_labels(content: bytes, files: list[str], where: str) -> tuple[np.ndarray | None, list[str]]:
    """Labels of `files` from the content of a dataset.json: (int64 [N] in file order, class names).

    The form is {"labels": [[file, class], ...] or null, "classes": [name, ...] (optional)}. Without
    labels the result is (None, []). Every file needs exactly one label. Raises DatasetError.
    """
    try:
        parsed = parse_json(content)
    except ValueError as error:
        raise DatasetError(f"{where}: not valid JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise DatasetError(f'{where}: must be an object {{"labels": ...}}, not {type(parsed).__name__}')
    entries = parsed.get("labels")
    if entries is None:
        return None, []
    if not isinstance(entries, list):
        raise DatasetError(f'{where}: "labels" must be a list or null, not {type(entries).__name__}')

    known = set(files)
    label_of: dict[str, int] = {}
    for entry in entries:
        file, label = _check_entry(entry, where)
        if file not in known:
            raise DatasetError(f"{where}: labels {file}, which is not among the {len(files)} images")
        if file in label_of:
            raise DatasetError(f"{where}: labels {file} twice")
        label_of[file] = label
    missing = [file for file in files if file not in label_of]
    if missing:
        raise DatasetError(f"{where}: {len(label_of)} labels for {len(files)} images; {missing[0]} has none")

    labels = np.array([label_of[file] for file in files], dtype=np.int64)
    names = parsed.get("classes")
    if names is None:
        return labels, [str(label) for label in range(labels.max() + 1)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DatasetError(f'{where}: "classes" must be a list of names')
    if labels.max() >= len(names):
        file = files[int(labels.argmax())]
        raise DatasetError(f"{where}: {file} has label {labels.max()}, but there are {len(names)} classes")
    return labels, names


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
