"""LSUN's form of LMDB, built small and read back."""

from __future__ import annotations

import hashlib
import io
import pickle

import lmdb
import numpy as np
import pytest
from PIL import Image

from leangan.data.contracts import DatasetError, open_dataset
from leangan.data.prepare import prepare
from leangan.data.readers.lsun_lmdb import LsunLmdb


def pixels(index: int) -> np.ndarray:
    return np.random.RandomState(index).randint(0, 256, (8, 12, 3)).astype(np.uint8)


@pytest.fixture
def database(tmp_path):
    """Six images with LSUN's names, 40 hexadecimal digits, written in another order than theirs."""
    path = tmp_path / "cat_lmdb"
    with lmdb.open(str(path), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for index in range(6):
            file = io.BytesIO()
            Image.fromarray(pixels(index)).save(file, "WEBP", lossless=True)
            transaction.put(key(index), file.getvalue())
    return path


def key(index: int) -> bytes:
    return hashlib.sha1(bytes([index])).hexdigest().encode()


ORDER = sorted(range(6), key=key)


def test_images_come_in_the_order_of_their_keys(database):
    source = LsunLmdb("cat", database, "LSUN")
    assert len(source) == 6
    assert list(range(6)) != ORDER
    for position, index in enumerate(ORDER):
        assert np.array_equal(np.asarray(source.image(position)), pixels(index))
    assert source.where(0) == f"{database}, {key(ORDER[0]).decode()}"


def test_prepared_as_published_from_the_first_images(database, tmp_path):
    source = LsunLmdb("cat", database / "data.mdb", "LSUN", count=4)
    meta = prepare(source, tmp_path / "cat.npy", 8, jobs=2)
    centre = np.stack([pixels(index)[:, 2:10].transpose(2, 0, 1) for index in ORDER[:4]])
    assert np.array_equal(open_dataset(tmp_path / "cat.npy").images, centre)
    assert (meta["crop"], meta["resize"], meta["source"]) == (True, "lanczos", "first 4 images of LMDB cat_lmdb")


def test_a_pickled_source_reads_the_same(database):
    source = LsunLmdb("cat", database, "LSUN", count=2)
    source.image(0)
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(np.asarray(copy.image(1)), np.asarray(source.image(1)))


def test_too_few_images_and_none(database, tmp_path):
    with pytest.raises(DatasetError, match="cat_lmdb: holds 6 images, fewer than 7"):
        LsunLmdb("cat", database, "LSUN", count=7)
    with pytest.raises(DatasetError, match="nowhere.*not an LMDB"):
        LsunLmdb("cat", tmp_path / "nowhere" / "data.mdb", "LSUN")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(DatasetError, match="bad: not an LMDB"):
        LsunLmdb("cat", tmp_path / "bad", "LSUN")


def test_an_entry_that_is_no_image_is_named(tmp_path):
    with (
        lmdb.open(str(tmp_path / "broken"), map_size=2**20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"abc", b"no image")
    with pytest.raises(DatasetError, match="broken, abc: not a readable image"):
        LsunLmdb("cat", tmp_path / "broken", "LSUN").image(0)


def test_an_entry_that_is_not_found_under_its_name_is_named(tmp_path):
    with lmdb.open(str(tmp_path / "odd"), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"abc\0", b"an image")  # NumPy drops the trailing zero
    with pytest.raises(DatasetError, match="odd, abc: not found under its key"):
        LsunLmdb("cat", tmp_path / "odd", "LSUN").image(0)
