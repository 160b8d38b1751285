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
    assert b"ZipInfo" not in pickle.dumps(source)  # 100,000 of them for each process


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


def test_names_of_windows_with_backslashes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number, name in enumerate(
            ["pets\\dog\\2.png", "pets\\cat\\1.png", "pets\\cat\\Thumbs.db", "pets\\cat2\\1.png"]
        ):
            file.writestr(name, png(number))
    source = Archive("mine", tmp_path / "a.zip", "free")
    assert (source.labels.tolist(), source.class_names) == ([0, 1, 2], ["cat", "cat2", "dog"])
    assert [source.image(i).getpixel((0, 0))[0] for i in range(3)] == [1, 3, 0]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["a/1.png", "a\\1.png", "./a/1.png", "a//1.png"])
def test_one_name_in_two_spellings(tmp_path, other):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a/1.png", png(1))
        file.writestr(other, png(2))
    with pytest.raises(DatasetError, match="a.zip: holds a/1.png 2 times"):
        Archive("mine", tmp_path / "a.zip", "free")


def test_names_that_differ_by_case_are_two_images(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", png(1))
        file.writestr("A.png", png(2))
    source = Archive("mine", tmp_path / "a.zip", "free")
    assert [source.image(i).getpixel((0, 0))[0] for i in range(2)] == [2, 1]


@pytest.mark.parametrize(("stored", "read"), [(b"caf\xc3\xa9", "caf\u00e9"), (b"caf\x82\xff", "caf\u00e9\u00a0")])
def test_names_without_the_flag_of_utf_8(tmp_path, stored, read):
    """Programs of macOS write UTF-8 without it; in the code page of DOS, 0x82 is the same letter."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("cafXY/1.png", png(1))
        file.writestr("dog/2.png", png(2))
    content = (tmp_path / "a.zip").read_bytes()
    assert content.count(b"cafXY") == 2
    (tmp_path / "a.zip").write_bytes(content.replace(b"cafXY", stored))
    source = Archive("mine", tmp_path / "a.zip", "free")
    assert source.class_names == [read, "dog"]
    assert source.image(0).getpixel((0, 0))[0] == 1
    assert pickle.loads(pickle.dumps(source)).image(1).getpixel((0, 0))[0] == 2
