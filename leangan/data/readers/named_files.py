"""Images as files with names, in a folder or a ZIP: which of the files they are, and which class each has."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import ClassVar

from leangan.core.errors import first_few
from leangan.data.contracts import DatasetError, Source
from leangan.data.readers.class_folders import find_classes
from leangan.data.readers.kinds import HEAD, HIDDEN, is_named_as_image, why_not
from leangan.data.readers.labels import FILE_NAME, parse_labels, plain_name
from leangan.data.tree import is_hidden


class NamedFiles(Source):
    """The images in `path`, sorted by name, with labels from a dataset.json, else from class folders, or none.

    `part`: those in folders of this name alone, at whatever depth, where there are such. `classes`: 0 for a set without
    labels, their number where it is known, None where the files are to tell. Raises DatasetError.
    """

    kind: ClassVar[str]
    """What `origin` calls a place of this form."""

    def __init__(self, name: str, path: Path, licence: str, part: str = "", classes: int | None = None):
        self.name = name
        self.path = path
        self.licence = licence
        self.origin = f"{self.kind} {path.name}"
        listed, folders, hidden = _sort_out(_within(self.listing(), part))
        images, label_files, self.left_out = self._divide(listed)
        if hidden:
            self.left_out[HIDDEN] = hidden
        if not images:
            found = "".join(f" Left out: {reason} ({first_few(names)})." for reason, names in self.left_out.items())
            raise DatasetError(f"{path}: no image in this folder or ZIP.{found}")
        self.files = [listed[image][0] for image in images]
        if label_files and classes != 0:
            folder = self._labelled_folder(label_files, images)
            stated, where = self.content(listed[label_files[0]][0]), self.place_of(label_files[0])
            self.labels, self.class_names = parse_labels(stated, [image[len(folder) :] for image in images], where)
        elif classes != 0:
            self.labels, self.class_names = find_classes(images, folders, self.left_out, path, classes)

    @abstractmethod
    def listing(self) -> Collection[str]:
        """All files, and the folders with a / at the end. Raises DatasetError."""

    @abstractmethod
    def content(self, file: str, size: int = -1) -> bytes:
        """The first `size` bytes of a file, or all. Raises DatasetError."""

    @abstractmethod
    def place_of(self, file: str) -> str:
        """What messages call a file."""

    def __len__(self) -> int:
        return len(self.files)

    def where(self, index: int) -> str:
        return self.place_of(self.files[index])

    def _divide(self, listed: dict[str, list[str]]) -> tuple[list[str], list[str], dict[str, list[str]]]:
        """The images, the files of labels, and by reason those that are left out."""
        images, label_files, left_out = [], [], defaultdict(list)
        for name in sorted(listed):
            if name.rpartition("/")[2].lower() == FILE_NAME:
                label_files.append(name)
            elif is_named_as_image(name) or (reason := why_not(name, self.content(listed[name][0], HEAD))) is None:
                images.append(name)
            else:
                left_out[reason].append(name)
        for name in images + label_files:
            if (times := len(listed[name])) > 1:
                raise DatasetError(f"{self.path}: holds {name} {times} times; which one counts is not defined")
        return images, label_files, dict(left_out)

    def _labelled_folder(self, label_files: list[str], images: list[str]) -> str:
        """The folder that holds the one label file and all images, with a / at the end, or ""."""
        if len(label_files) > 1:
            raise DatasetError(f"{self.path}: holds {first_few(label_files)}; keep the one that labels all images")
        folder = label_files[0][: -len(FILE_NAME)]
        outside = [image for image in images if not image.startswith(folder)]
        if outside:
            raise DatasetError(
                f"{self.place_of(label_files[0])}: labels only images in its folder, outside which lie"
                f" {first_few(outside)}; put it at the top and label all images in it, or remove it"
            )
        return folder


def _within(names: Collection[str], part: str) -> Collection[str]:
    inside = [name for name in names if f"/{part}/" in f"/{plain_name(name)}"] if part else []
    return inside or names


def _sort_out(names: Iterable[str]) -> tuple[dict[str, list[str]], set[str], list[str]]:
    """Files by plain name, each with the names that it is listed under; all folders; and what is hidden of both."""
    files: dict[str, list[str]] = defaultdict(list)
    folders: set[str] = set()
    hidden: set[str] = set()
    for listed in names:
        name = plain_name(listed)
        steps = name.split("/")
        if any(map(is_hidden, steps)):
            depth = 1 + next(i for i, step in enumerate(steps) if is_hidden(step))
            hidden.add("/".join(steps[:depth]) + "/" * (depth < len(steps)))
            steps = steps[:depth]
        elif steps[-1]:
            files[name].append(listed)
        folders.add("".join(f"{step}/" for step in steps[:-1]))
    return files, folders, sorted(hidden)
