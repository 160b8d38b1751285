"""The two forms of a data set: the `Source` it comes from and the prepared `Dataset` that runs read."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.data.fingerprint import stamp

META_KEYS = ("name", "resolution", "channels", "count", "classes", "labels", "class_names", "licence",
             "source", "sha256")  # fmt: skip


class DatasetError(ConfigError):
    """A data set that cannot be used; the message names the file or value and the remedy."""


class BrokenImage(DatasetError):
    """An image that cannot be prepared: `where` it is, what was `found`, the `remedy`, one for each kind of fault."""

    def __init__(self, where: str, found: str, remedy: str):
        super().__init__(where, found, remedy)
        self.where, self.found, self.remedy = where, found, remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.remedy}"


@dataclass(frozen=True)
class Expected:
    """What is known of a published set: the number of images, the SHA-256 of the file it comes in."""

    count: int | None = None
    sha256: str | None = None


class Source(ABC):
    """A data set in its original form: N images, with one class label each or none.

    Everything but the pixels is checked when the source is created, so that a mistake in the labels
    shows before an hour of decoding. Sources travel to worker processes by pickle: open files are
    opened on first use and named in `handles`, which stay behind.
    """

    handles: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold open files; each process has its own."""

    name: str
    licence: str
    origin: str
    """How the set is obtained; no path of this machine."""

    labels: np.ndarray | None = None
    """int64 [N] in [0, len(class_names)), or None."""

    class_names: list[str] = []

    left_out: Mapping[str, Sequence[str]] = {}
    """Files at the place of the set that are not among its images: names by the reason, in words."""

    resize: str = "box"
    """The filter that the published protocol makes these images smaller with, see `data.image.RESIZE`."""

    crop: bool = False
    """Whether it takes the central square of each image first."""

    expected: Expected = Expected()
    """What preparation verifies before it decodes anything."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images N."""

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """Image `index`, upright, at its original size, in RGB or another mode of Pillow. Raises DatasetError."""

    def where(self, index: int) -> str:
        """What an error message calls image `index`."""
        return f"{self.name}, image {index}"

    def paths(self) -> list[Path]:
        """The files that the images are read from; `expected.sha256` is that of the first."""
        return []

    def stamps(self) -> list[str]:
        """A text for each image that changes when the image does; no two images share one.

        Pixels that were decoded under a stamp are not decoded again. Unless a source knows better, all stamps change
        with its origin and with names, sizes or times of its files.
        """
        whole = hashlib.sha256(f"{self.name}\n{self.origin}\n{len(self)}".encode())
        for path in self.paths():
            whole.update(stamp(str(path), path.stat()))
        return [f"{whole.hexdigest()} {index}" for index in range(len(self))]

    def at(self, resolution: int | None) -> Source:
        """The source to prepare for `resolution` pixels: another one where the set is published at several."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self.handles}


@dataclass(frozen=True)
class Dataset:
    """A prepared data set: `images` uint8 [N, C, H, W] (memory-mapped), `labels` int64 [N] or None.

    `meta` is the content of the JSON file beside the array: name, resolution, channels, count, classes
    (0 = none), labels, class_names, licence, source, sha256 (of the array's bytes), fingerprint (of the source, see
    `data.fingerprint`; None if none was given to `data.prepare`) and preparation (see `data.report.count`; arrays of
    earlier versions lack it).
    """

    images: np.ndarray
    labels: np.ndarray | None
    meta: dict[str, Any]


def open_dataset(path: str | Path) -> Dataset:
    """Open the prepared array `path` (.npy) and the .json beside it.

    Shapes, types and label ranges are checked against each other; the pixels are not read. Raises
    DatasetError when a file is missing or the two disagree.
    """
    path = Path(path)
    meta_path = path.with_suffix(".json")
    for file in (path, meta_path):
        if not file.is_file():
            raise DatasetError(f"{file}: no such file; prepare the set with `leangan prepare`")
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        images = np.load(path, mmap_mode="r")
    except ValueError as error:
        raise DatasetError(f"{path}: not a prepared data set ({error}); prepare it again") from error
    missing = [key for key in META_KEYS if key not in meta]
    if missing:
        raise DatasetError(f"{meta_path}: lacks {', '.join(missing)}; prepare the set again")
    shape = (meta["count"], meta["channels"], meta["resolution"], meta["resolution"])
    if images.dtype != np.uint8 or images.shape != shape:
        raise DatasetError(
            f"{path}: holds {images.dtype} {images.shape}, but {meta_path.name} says uint8 {shape};"
            " prepare the set again"
        )
    labels = None if meta["labels"] is None else np.asarray(meta["labels"], dtype=np.int64)
    if labels is not None and (labels.shape != shape[:1] or labels.min() < 0 or labels.max() >= meta["classes"]):
        raise DatasetError(
            f"{meta_path}: {meta['count']} images in {meta['classes']} classes need as many labels in"
            f" [0, {meta['classes']}); prepare the set again"
        )
    return Dataset(images, labels, meta)
