"""LSUN as published: an LMDB with one encoded image (WebP or JPEG) per key, in the order of the keys.

arXiv:1506.03365. The published set-ups take the first images, crop their central square and make it 256 pixels wide
with a Lanczos filter (arXiv:2006.06676).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import Form
from leangan.data.image import decode

if TYPE_CHECKING:
    import lmdb


class LsunLmdb(Source):
    """The images of the LMDB `path`, a folder or its data.mdb, or the first `count`. Raises DatasetError."""

    resize = "lanczos"
    crop = True

    def __init__(self, name: str, path: Path, licence: str, count: int | None = None):
        self.name = name
        self.path = path if path.is_dir() else path.parent
        self.licence = licence
        first = "" if count is None else f"first {count} images of "
        self.origin = f"{first}LMDB {self.path.name}"
        held = self._whole()
        if held < (count or 1):
            raise DatasetError(f"{path}: holds {held} images, fewer than {count or 1}; fetch or unpack it again")
        self.count = count or held

    @property
    def _database(self) -> lmdb.Environment:
        import lmdb

        try:
            return _opened(self.path.resolve())
        except lmdb.Error as error:
            raise DatasetError(f"{self.path}: not an LMDB folder with its data.mdb ({error})") from error

    def _whole(self) -> int:
        """How many images the file says it holds. Raises DatasetError where its end is missing.

        The file is mapped into memory: a page beyond its end would kill the process. The last pages may be free ones
        that were never written.
        """
        state = self._database.stat()
        pages = self._database.info()["last_pgno"] + 1
        missing = pages - (self.path / "data.mdb").stat().st_size // state["psize"]
        if missing > min(64, pages // 100):
            raise DatasetError(f"{self.path}: {missing} of {pages} pages are cut off; fetch or unpack it again")
        return state["entries"]

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        import lmdb

        try:
            with self._database.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise DatasetError(f"{self.path}: damaged ({error}); fetch or unpack it again") from error

    @cached_property
    def _keys(self) -> np.ndarray:
        """Names of the images, bytes [count]: an LMDB cannot be asked for its n-th entry."""
        with self._reading() as transaction, transaction.cursor() as cursor:
            keys = np.array(list(islice(cursor.iternext(values=False), self.count)))
        if len(keys) < self.count:
            raise DatasetError(f"{self.path}: holds {len(keys)} images, not {self.count}; fetch or unpack it again")
        return keys

    def __len__(self) -> int:
        return self.count

    def paths(self) -> list[Path]:
        return [self.path / "data.mdb"]

    def where(self, index: int) -> str:
        return f"{self.path}, {self._keys[index].decode(errors='replace')}"

    def image(self, index: int) -> Image.Image:
        with self._reading() as transaction:
            content = transaction.get(self._keys[index])
        if content is None:
            raise DatasetError(f"{self.where(index)}: not found under its key; fetch or unpack the LMDB again")
        return decode(io.BytesIO(content), self.where(index))


@cache  # a process may open an LMDB only once
def _opened(path: Path) -> lmdb.Environment:
    import lmdb

    # Without a lock, as the file is only read, from read-only media, too.
    return lmdb.open(str(path), readonly=True, lock=False)


def is_lmdb(path: Path) -> bool:
    """Whether `path` is an LMDB's folder or the file in it."""
    return path.name == "data.mdb" or (path / "data.mdb").is_file()


def open_lmdb(name: str, path: Path, licence: str) -> LsunLmdb:
    """All images of the LMDB at `path`, its folder or the file in it."""
    return LsunLmdb(name, path if path.is_dir() else path.parent, licence)


FORM = Form("an LMDB folder (data.mdb)", is_lmdb, open_lmdb)
