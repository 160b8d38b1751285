"""Class labels from the folders that images lie in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from leangan.core.errors import printable
from leangan.data.contracts import DatasetError
from leangan.data.readers.kinds import HIDDEN, OTHER

# Folders of a thousand images each, as the tools of StyleGAN and FFHQ name them.
_SHARD = re.compile(r"\d{5}")

_IMAGES = frozenset({"image", "images", "imgs", "jpegimages"})

_ANNOTATIONS = frozenset({"annotations", "depth", "labels", "mask", "masks", "segmentation", "segmentations"})

_SPLITS = frozenset({"dev", "test", "testing", "train", "training", "val", "valid", "validation"})


def find_classes(
    images: Sequence[str],
    folders: Iterable[str],
    left_out: Mapping[str, Sequence[str]],
    path: Path,
    classes: int | None,
) -> tuple[np.ndarray | None, list[str]]:
    """Labels of `images` by the first folders that tell them apart: (int64 [N], class names), or (None, []).

    A folder that all images share is no class. `folders` are all there are, with a / at the end; `left_out` are the
    files that are not images, by reason. `classes` is their number where it is known. Where it is not, neither numbered
    folders, 00000 and so on, nor a training and a test split are classes. Raises DatasetError.
    """
    top = ""
    while True:
        names = sorted(_first_folders(images, top))
        empty = sorted(_without_images(folders, left_out, top).difference(names))
        stray = next((image for image in images if "/" not in image[len(top) :]), None)
        if len(names) != 1 or empty or stray:
            break
        top += f"{names[0]}/"
    if not names or (classes is None and not stray and all(map(_SHARD.fullmatch, names))):
        return None, []
    if stray:
        raise DatasetError(f"{path}: {stray} lies beside class folders; move it into one, or all images to the top")
    if empty:
        raise DatasetError(f"{path / top / empty[0]}: class folder without an image; fill or remove it")
    if classes is None and _SPLITS.issuperset(name.lower() for name in names):
        raise DatasetError(
            f"{path / top}: {' and '.join(names)} are splits, not classes; give one of them alone (its path, or a ZIP"
            " of it), or put their images together"
        )
    lower = {name.lower() for name in names}
    if classes is None and lower & _IMAGES and lower & _ANNOTATIONS and lower <= _IMAGES | _ANNOTATIONS:
        raise DatasetError(
            f"{path / top}: {' and '.join(names)} are images and what belongs to them, not classes; give the folder of"
            " images alone (its path, or a ZIP of it)"
        )
    if unclear := [name for name in names if printable(name) != name]:
        raise DatasetError(f"{path / top}: class folder {printable(unclear[0])} has a name that is no text; rename it")
    if len({unicodedata.normalize("NFC", name) for name in names}) < len(names):
        raise DatasetError(f"{path / top}: two class folders of the same name, accents stored differently; merge them")
    number = {name: label for label, name in enumerate(names)}
    return np.array([number[image[len(top) :].split("/")[0]] for image in images], dtype=np.int64), names


def _first_folders(names: Iterable[str], top: str) -> set[str]:
    """The folders directly in `top` that lead to one of `names`."""
    return {name[len(top) :].split("/")[0] for name in names if name.startswith(top) and "/" in name[len(top) :]}


def _without_images(folders: Iterable[str], left_out: Mapping[str, Sequence[str]], top: str) -> set[str]:
    """The folders directly in `top` that would be classes if they held an image; those with other files would not."""
    unread = [name for reason, names in left_out.items() if reason not in (HIDDEN, OTHER) for name in names]
    others = _first_folders(left_out.get(OTHER, ()), top) - _first_folders(unread, top)
    return _first_folders(folders, top) - others
