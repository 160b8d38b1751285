"""CIFAR-10 and CIFAR-100 in their official form, cifar-10-python.tar.gz, or the folder that it unpacks to.

https://www.cs.toronto.edu/~kriz/cifar.html: pickled batches of rows of 3072 bytes, the red, green and blue
plane of an image of 32 x 32. A pickle can execute anything, so each file is unpickled only after its MD5 has been
found to be the one that torchvision knows; the archive, too, is opened only then, in memory, and never unpacked.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import tarfile
import zipfile
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.known_sets import KnownSet
from leangan.data.readers import images

SHAPE = (-1, 3, 32, 32)

_md5 = functools.partial(hashlib.md5, usedforsecurity=False)


class Cifar(Source):
    """One split of CIFAR-10 or CIFAR-100 (`name`: cifar10, cifar10-test, ...); labels are the fine classes.

    `path` is the archive or the unpacked folder. Raises DatasetError when a file is missing or is not the official
    one. Other processes get the pixels with it: reading the archive anew would import torch in each.
    """

    labels: np.ndarray

    def __init__(self, name: str, path: Path, licence: str):
        self.name = name
        self.path = path
        self.licence = licence
        self.origin = f"{path.name} of cs.toronto.edu/~kriz/cifar.html"
        self.labels, self.class_names = self._content[1:]

    @cached_property
    def _content(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Images uint8 [N, 3, 32, 32], labels int64 [N] and class names."""
        from torchvision.datasets import CIFAR10, CIFAR100  # imports torch

        official = CIFAR100 if self.name.startswith("cifar100") else CIFAR10
        files = official.test_list if self.name.endswith("-test") else official.train_list
        meta = official.meta["filename"]
        if self.path.is_file():
            with self.path.open("rb") as archive:
                self._check(self.path.name, hashlib.file_digest(archive, _md5).hexdigest(), official.tgz_md5)
        found = self._read(official.base_folder, [file for file, _ in files] + [meta])
        batches = [self._unpickle(file, found[file], md5) for file, md5 in files]
        names = self._unpickle(meta, found[meta], official.meta["md5"])[official.meta["key"]]
        images = np.concatenate([batch["data"] for batch in batches]).reshape(SHAPE)
        labels = np.concatenate([batch["fine_labels" if "fine_labels" in batch else "labels"] for batch in batches])
        return images, labels.astype(np.int64), list(names)

    def _read(self, folder: str, files: list[str]) -> dict[str, bytes]:
        try:
            if self.path.is_dir():
                inside = self.path / folder if (self.path / folder).is_dir() else self.path
                return {file: (inside / file).read_bytes() for file in files}
            with tarfile.open(self.path) as archive:
                return {file: _member(archive, f"{folder}/{file}") for file in files}
        # A damaged archive: tarfile.TarError, EOFError, zlib.error, OSError; a missing file: KeyError, OSError.
        except Exception as error:
            raise DatasetError(f"{self.path}: cannot read {self.name} from it ({error}); fetch it again") from error

    def _unpickle(self, file: str, content: bytes, md5: str) -> dict:
        self._check(file, _md5(content).hexdigest(), md5)
        return pickle.loads(content, encoding="latin1")

    def _check(self, file: str, found: str, md5: str) -> None:
        if found != md5:
            raise DatasetError(f"{self.path}: the MD5 of {file} is {found}, not the official {md5}; fetch it again")

    def __len__(self) -> int:
        return len(self.labels)

    def paths(self) -> list[Path]:
        return [self.path]

    def where(self, index: int) -> str:
        return f"{self.path}, {self.name}, image {index}"

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._content[0][index].transpose(1, 2, 0))


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of the file `name`. Raises KeyError if it is missing, TarError if it is not a regular file."""
    file = archive.extractfile(name)
    if file is None:
        raise tarfile.TarError(f"{name} is not a regular file")
    with file:
        return file.read()


def open_set(row: KnownSet, path: Path) -> Source:
    """The set `row` in its official form, or as images, from a ZIP or a folder with dataset.json."""
    if zipfile.is_zipfile(path) or (path / "dataset.json").is_file():
        return images.open_set(row, path)
    return Cifar(row.name, path, row.licence)
