"""A ZIP of images with an optional dataset.json: the form in which the ecosystem shares data sets."""

from __future__ import annotations

import io
import json
import re
import zipfile
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.forms import Form
from leangan.data.image import decode
from leangan.data.readers.named_files import NamedFiles

MAX_ENTRY_BYTES = 2**28  # a ZIP of a few kB can unpack to terabytes

COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks others without a limit

UTF_8_NAME = 0x800  # the flag of an entry


class Archive(NamedFiles):
    """The images of the ZIP `path`; see `NamedFiles`.

    Entries are read in memory, nothing is unpacked; names that would leave the folder are refused all the same.
    """

    kind = "archive"
    handles = ("_zip", "_entries")

    def listing(self) -> list[str]:
        for entry in self._zip.infolist():
            self._check_entry(entry)
        return [_name(entry) for entry in self._zip.infolist()]

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        # A damaged directory: BadZipFile, OSError, NotImplementedError, UnicodeDecodeError, struct.error.
        except Exception as error:
            raise DatasetError(f"{self.path}: not a readable ZIP file ({error})") from error

    @cached_property
    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        return {_name(entry): entry for entry in self._zip.infolist()}

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

    def content(self, file: str, size: int = -1) -> bytes:
        entry = self._entries[file]
        try:
            with self._zip.open(entry) as opened:
                # With a number of bytes no more is unpacked, whatever the entry turns out to hold.
                return opened.read(entry.file_size + 1 if size < 0 else size)
        except MemoryError:
            raise
        # Damaged or encrypted entries: BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError.
        except Exception as error:
            raise DatasetError(f"{self.path}: cannot read entry {file} ({error})") from error

    def paths(self) -> list[Path]:
        return [self.path]

    def stamps(self) -> list[str]:
        entries = [self._entries[file] for file in self.files]
        return [json.dumps([entry.filename, entry.file_size, entry.CRC]) for entry in entries]

    def place_of(self, file: str) -> str:
        return f"{self.path}, {file}"

    def image(self, index: int) -> Image.Image:
        return decode(io.BytesIO(self.content(self.files[index])), self.where(index))


def _name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry. Programs of macOS and Linux write UTF-8 without saying so, which zipfile reads as cp437."""
    if not entry.flag_bits & UTF_8_NAME:
        try:
            return entry.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return entry.filename


def is_archive(path: Path) -> bool:
    """Whether `path` is a ZIP or named as one; `Archive` says what is wrong with a damaged one."""
    return not path.is_dir() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


FORM = Form("a ZIP", is_archive, Archive)
