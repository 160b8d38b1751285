"""What a ZIP must not hold, and that worker processes can read one."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.readers.archive import Archive


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_a_pickled_archive_reads_the_same(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for i in range(3):
            file.writestr(f"{i}.png", png(i))
    source = Archive("mine", tmp_path / "a.zip", "free")
    copy = pickle.loads(pickle.dumps(source))
    assert [copy.image(i).getpixel((0, 0))[0] for i in range(3)] == [0, 1, 2]
    assert np.array_equal(source.image(1), copy.image(1))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["a.png", "dataset.json"])
def test_two_entries_of_one_name(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", png(1))
        file.writestr("dataset.json", '{"labels": [["a.png", 0]]}')
        file.writestr(name, png(2))
    with pytest.raises(DatasetError, match=f"a.zip: holds {name} 2 times"):
        Archive("mine", tmp_path / "a.zip", "free")


def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(10_000_000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 100)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="a.zip: cannot read entry a.png"):
        Archive("mine", tmp_path / "a.zip", "free").image(0)


def test_an_encrypted_entry(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", png(1))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="a.zip: cannot read entry a.png .*encrypted"):
        Archive("mine", tmp_path / "a.zip", "free").image(0)
