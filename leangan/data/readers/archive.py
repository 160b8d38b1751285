"""A ZIP of images with an optional dataset.json: the form in which the ecosystem shares data sets."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import Form
from leangan.data.image import SUFFIXES, decode, is_image
from leangan.data.readers.labels import FILE_NAME, parse_labels

MAX_ENTRY_BYTES = 2**28  # a ZIP of a few kB can unpack to terabytes

COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks others without a limit


class Archive(Source):
    """The images of the ZIP `path`, sorted by name; labels from its dataset.json or none.

    Entries are read in memory, nothing is unpacked; names that would leave the folder are refused all
    the same. Raises DatasetError.
    """

    handles = ("_zip",)

    def __init__(self, name: str, path: Path, licence: str):
        self.name = name
        self.path = path
        self.licence = licence
        self.origin = f"archive {path.name}"
        entries = [entry for entry in self._zip.infolist() if not entry.filename.endswith("/")]
        for entry in entries:
            self._check_entry(entry)
        names = [entry.filename for entry in entries]
        self.files = sorted(name for name in names if is_image(name) and not name.startswith("__MACOSX/"))
        if not self.files:
            raise DatasetError(f"{path}: no image in this ZIP (looked for {', '.join(sorted(SUFFIXES))})")
        for file, times in Counter(names).items():
            if times > 1 and (is_image(file) or file == FILE_NAME):
                raise DatasetError(f"{path}: holds {file} {times} times; which one counts is not defined")
        if FILE_NAME in names:
            self.labels, self.class_names = parse_labels(self._read(FILE_NAME), self.files, f"{path}, {FILE_NAME}")

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        # A damaged directory: BadZipFile, OSError, NotImplementedError, UnicodeDecodeError, struct.error.
        except Exception as error:
            raise DatasetError(f"{self.path}: not a readable ZIP file ({error})") from error

    def _check_entry(self, entry: zipfile.ZipInfo) -> None:
        # A name is judged as both Unix and Windows would read it.
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", entry.filename):
            raise DatasetError(f"{self.path}: entry {entry.filename!r} leads out of the archive")
        if entry.file_size > MAX_ENTRY_BYTES:
            raise DatasetError(
                f"{self.path}: entry {entry.filename} unpacks to {entry.file_size} bytes, more than {MAX_ENTRY_BYTES}"
            )
        if entry.compress_type not in COMPRESSION:
            raise DatasetError(
                f"{self.path}: entry {entry.filename} is compressed by method {entry.compress_type}; make the ZIP anew"
                " with the usual one, deflate, or without compression"
            )

    def _read(self, file: str) -> bytes:
        try:
            with self._zip.open(file) as entry:
                # With a number of bytes no more is unpacked, whatever the entry turns out to hold.
                return entry.read(self._zip.getinfo(file).file_size + 1)
        except MemoryError:
            raise
        # Damaged or encrypted entries: BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError.
        except Exception as error:
            raise DatasetError(f"{self.path}: cannot read entry {file} ({error})") from error

    def __len__(self) -> int:
        return len(self.files)

    def paths(self) -> list[Path]:
        return [self.path]

    def stamps(self) -> list[str]:
        entries = [self._zip.getinfo(file) for file in self.files]
        return [json.dumps([entry.filename, entry.file_size, entry.CRC]) for entry in entries]

    def where(self, index: int) -> str:
        return f"{self.path}, {self.files[index]}"

    def image(self, index: int) -> Image.Image:
        return decode(io.BytesIO(self._read(self.files[index])), self.where(index))


def is_archive(path: Path) -> bool:
    """Whether `path` is a ZIP or named as one; `Archive` says what is wrong with a damaged one."""
    return not path.is_dir() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


FORM = Form("a ZIP", is_archive, Archive)
