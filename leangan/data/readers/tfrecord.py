"""TFRecords in the multi-resolution form of StyleGAN: FFHQ and others are published so.

A folder holds one file per resolution, `<name>-r08.tfrecords` for 2^8 pixels, and for a set with classes
`<name>-rxx.labels`, a NumPy array of one-hot rows. A record is a tf.train.Example with the features `shape`
(int64 [3]: channels, height, width) and `data` (uint8, in that order).
"""

from __future__ import annotations

import copy
import math
import re
import struct
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import Form

SUFFIX = ".tfrecords"


class TFRecords(Source):
    """The images of `path`, a folder or one of its files, in the order of the records.

    Of a folder `at` takes the file of the resolution asked for, else the largest, which is then made smaller.
    The checksums of the records are verified. Raises DatasetError.
    """

    handles = ("_file",)

    def __init__(self, name: str, path: Path, licence: str):
        self.name = name
        self.path = path
        self.licence = licence
        self._choose(None)

    def at(self, resolution: int | None) -> TFRecords:
        chosen = copy.copy(self)
        chosen._choose(resolution)
        return chosen

    def _choose(self, resolution: int | None) -> None:
        self.file = self.path if self.path.is_file() else _of_folder(self.path, resolution)
        self.origin = f"TFRecords {self.file.name}"
        vars(self).pop("_offsets", None)
        labels_path = self.file.with_name(re.sub(r"-r\d\d$", "", self.file.stem) + "-rxx.labels")
        if labels_path.is_file():
            self.labels, self.class_names = _read_labels(labels_path, len(self))

    @cached_property
    def _file(self) -> BinaryIO:
        try:
            return self.file.open("rb")
        except OSError as error:
            raise DatasetError(f"{self.file}: cannot be read ({error})") from error

    @cached_property
    def _offsets(self) -> np.ndarray:
        """Where each record starts, int64 [N]: its length in 8 bytes, CRC, the Example, CRC."""
        end = self.file.stat().st_size
        offset, offsets = 0, []
        while offset < end:
            offsets.append(offset)
            self._file.seek(offset)
            offset += 16 + int.from_bytes(self._checked(8, f"record {len(offsets) - 1}"), "little")
        if offset > end:
            raise DatasetError(f"{self.file}: record {len(offsets) - 1} is cut off; fetch or copy the file again")
        if not offsets:
            raise DatasetError(f"{self.file}: holds no record; fetch or copy the file again")
        return np.array(offsets)

    def _checked(self, size: int, where: str) -> bytes:
        """The next `size` bytes, which a masked CRC-32C follows."""
        import google_crc32c

        content, stored = self._file.read(size), self._file.read(4)
        crc = google_crc32c.value(content)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        if stored != struct.pack("<I", masked):
            raise DatasetError(f"{self.file}: {where} is damaged, its checksum differs; fetch or copy the file again")
        return content

    def __len__(self) -> int:
        return len(self._offsets)

    def paths(self) -> list[Path]:
        return [self.file]

    def where(self, index: int) -> str:
        return f"{self.file}, record {index}"

    def image(self, index: int) -> Image.Image:
        from leangan.data.readers._example import DecodeError, Example

        where = self.where(index)
        self._file.seek(self._offsets[index])
        size = int.from_bytes(self._checked(8, f"record {index}"), "little")
        content = self._checked(size, f"record {index}")
        try:
            features = {entry.key: entry.value for entry in Example.FromString(content).features.entries}
            shape = list(features["shape"].integers.value)
            (data,) = features["data"].bytes.value
        except (DecodeError, KeyError, ValueError) as error:
            raise DatasetError(f"{where}: not an image with the features shape and data ({error!r})") from error
        if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1 or math.prod(shape) != len(data):
            raise DatasetError(f"{where}: {len(data)} bytes do not make an image of shape {shape}, channels first")
        pixels = np.frombuffer(data, dtype=np.uint8).reshape(shape).transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def _of_folder(folder: Path, resolution: int | None) -> Path:
    numbered = [(re.fullmatch(r"(.*)-r(\d\d)", file.stem), file) for file in sorted(folder.glob(f"*{SUFFIX}"))]
    sets = {match[1] for match, _ in numbered if match}
    if len(sets) != 1:
        found = f"files of {', '.join(sorted(sets))}" if sets else f"no *-rNN{SUFFIX}"
        raise DatasetError(f"{folder}: {found}; give a folder with the files of one set, or one file")
    files = {2 ** int(match[2]): file for match, file in numbered if match}
    return files.get(resolution) or files[max(files)]


def _read_labels(path: Path, count: int) -> tuple[np.ndarray | None, list[str]]:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot ask for memory
    except Exception as error:  # a damaged header is parsed as Python's literals are, with their errors
        raise DatasetError(f"{path}: not an array of labels ({error})") from error
    if not isinstance(rows, np.ndarray):
        raise DatasetError(f"{path}: holds several arrays; one row of labels for each image is needed")
    if rows.ndim != 2 or len(rows) != count:
        raise DatasetError(f"{path}: labels of shape {rows.shape}, but one row for each of {count} images is needed")
    if rows.shape[1] == 0:
        return None, []
    if not (np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all()):
        raise DatasetError(f"{path}: labels are not one-hot; remove the file to use the images without classes")
    return rows.argmax(1).astype(np.int64), [str(k) for k in range(rows.shape[1])]


def are_records(path: Path) -> bool:
    """Whether `path` is a file of TFRecords or a folder with some."""
    return path.suffix == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}")))


FORM = Form("a folder of TFRecords", are_records, TFRecords)
