"""Sources: folders, archives, their labels, and the table of names."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from functools import cache
from importlib.resources import files

import elpv_dataset.utils
import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.data import open_source as sources
from leangan.data.contracts import DatasetError
from leangan.data.readers import archive
from leangan.data.readers.archive import Archive
from leangan.data.readers.folder import Folder
from leangan.data.readers.procedural import Procedural


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def make_zip(path, entries: dict[str, bytes], labels: object = None, **extra):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
        if labels is not None:
            file.writestr("dataset.json", json.dumps({"labels": labels, **extra}))
    return path


def make_tree(root, files: dict[str, bytes]):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_archive_reads_images_by_name_with_their_labels(tmp_path):
    entries = {"b.png": png(20), "00/a.png": png(10), "readme.txt": b"", "__MACOSX/._a.png": b"x"}
    labels = [["b.png", 1], ["00/a.png", 0]]
    source = Archive("mine", make_zip(tmp_path / "a.zip", entries, labels, classes=["cat", "dog"]), "free")
    assert [source.image(i).getpixel((0, 0))[0] for i in range(len(source))] == [10, 20]
    assert source.labels.tolist() == [0, 1]
    assert source.class_names == ["cat", "dog"]


def test_archive_without_labels(tmp_path):
    source = Archive("mine", make_zip(tmp_path / "a.zip", {"a.png": png(1)}), "free")
    assert source.labels is None
    assert source.class_names == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a.png", 0]], "1 labels for 2 images; b.png"),
        ([["a.png", 0], ["b.png", 1], ["c.png", 1]], "c.png, which is not among"),
        ([["a.png", 0], ["b.png", -1]], "-1 of b.png is negative"),
        ([["a.png", 0], ["b.png", 1.5]], "1.5 of b.png is not an integer"),
        ([["a.png", 0], ["b.png", True]], "True of b.png is not an integer"),
        ([["a.png", 0], ["a.png", 1]], "a.png twice"),
        ([["a.png"]], "is not \\[file, class\\]"),
        ({"a.png": 0}, "must be a list"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, message):
    path = make_zip(tmp_path / "a.zip", {"a.png": png(1), "b.png": png(2)}, labels)
    with pytest.raises(DatasetError, match=f"a.zip, dataset.json.*{message}"):
        Archive("mine", path, "free")


def test_label_beyond_the_named_classes(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": png(1)}, [["a.png", 2]], classes=["cat", "dog"])
    with pytest.raises(DatasetError, match="a.png has label 2, but there are 2 classes"):
        Archive("mine", path, "free")


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png"])
def test_entries_that_leave_the_archive(tmp_path, name):
    with pytest.raises(DatasetError, match="leads out of the archive"):
        Archive("mine", make_zip(tmp_path / "a.zip", {name: png(1)}), "free")


def test_archives_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DatasetError, match="text.zip: not a readable ZIP"):
        Archive("mine", tmp_path / "text.zip", "free")
    with pytest.raises(DatasetError, match="empty.zip: no image"):
        Archive("mine", make_zip(tmp_path / "empty.zip", {"a.txt": b""}), "free")
    monkeypatch.setattr(archive, "MAX_ENTRY_BYTES", 10)
    with pytest.raises(DatasetError, match="a.png unpacks to"):
        Archive("mine", make_zip(tmp_path / "bomb.zip", {"a.png": png(1)}), "free")


def test_damaged_entry_names_archive_and_file(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": png(1)})
    content = bytearray(path.read_bytes())
    content[50] ^= 255  # inside the stored image: its checksum no longer holds
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="a.zip: cannot read entry a.png"):
        Archive("mine", path, "free").image(0)


def test_class_folders_in_alphabetical_order(tmp_path):
    source = Folder("mine", make_tree(tmp_path, {"dog/1.png": png(1), "cat/2.png": png(2)}), "free")
    assert source.class_names == ["cat", "dog"]
    assert source.labels.tolist() == [0, 1]
    assert source.image(0).getpixel((0, 0))[0] == 2


def test_flat_folder_has_no_labels(tmp_path):
    source = Folder("mine", make_tree(tmp_path, {"1.png": png(1), "2.jpg": png(2), ".3.png": b""}), "free")
    assert len(source) == 2
    assert source.labels is None


def test_folder_with_labels_file_ignores_its_sub_folders(tmp_path):
    labels = json.dumps({"labels": [["00/1.png", 1], ["00/2.png", 0]]}).encode()
    make_tree(tmp_path, {"00/1.png": png(1), "00/2.png": png(2), "dataset.json": labels})
    source = Folder("mine", tmp_path, "free")
    assert source.labels.tolist() == [1, 0]
    assert source.class_names == ["0", "1"]


def test_folders_that_make_no_sense(tmp_path):
    with pytest.raises(DatasetError, match="no image in this folder"):
        Folder("mine", tmp_path, "free")
    make_tree(tmp_path, {"cat/1.png": png(1), "2.png": png(2)})
    with pytest.raises(DatasetError, match="2.png lies beside class folders"):
        Folder("mine", tmp_path, "free")
    (tmp_path / "2.png").unlink()
    (tmp_path / "dog").mkdir()
    with pytest.raises(DatasetError, match="dog: class folder without an image"):
        Folder("mine", tmp_path, "free")


def test_names(tmp_path):
    assert sources.open_source("elpv").licence == "CC BY-NC-SA 4.0"
    with pytest.raises(ConfigError, match="'elvp'.*'elpv'"):
        sources.open_source("elvp")
    with pytest.raises(DatasetError, match="takes no path"):
        sources.open_source("elpv", tmp_path)
    with pytest.raises(DatasetError, match="mine: no file or folder .*nowhere"):
        sources.open_source("mine", tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(DatasetError, match="notes.txt: holds no images in a known form; give a folder"):
        sources.open_source("mine", tmp_path / "notes.txt")


def test_the_two_kinds_of_cells_are_together_the_whole_set(monkeypatch):
    """Every photograph is in one of them, in the order of the whole set, with the same pixels."""
    monkeypatch.setattr(elpv_dataset.utils, "load_dataset", cache(elpv_dataset.utils.load_dataset))  # takes a second

    def digests(name: str) -> list[bytes]:
        source = sources.open_source(name)
        assert source.name == name and source.licence == "CC BY-NC-SA 4.0"
        assert name == "elpv" or source.labels is None
        return [hashlib.sha1(source.image(i).getchannel(0).tobytes()).digest() for i in range(len(source))]

    whole, mono, poly = map(digests, ("elpv", "elpv-mono", "elpv-poly"))
    assert (len(whole), len(mono), len(poly)) == (2624, 1074, 1550)
    assert sorted(mono + poly) == sorted(whole)
    with (files("elpv_dataset") / "data" / "labels.csv").open() as lines:
        kinds = [line.split()[-1] for line in lines]
    for kind, part in (("mono", mono), ("poly", poly)):
        assert [digest for digest, label in zip(whole, kinds, strict=True) if label == kind] == part


def test_procedural_images_show_their_attributes():
    """Orientation and hue measured in the pixels are the ones the set states."""
    source = Procedural("free", "drawn", count=24)
    for i in range(len(source)):
        pixels = np.asarray(source.image(i)).astype(float)
        mask = np.abs(pixels - 127.5).max(2) > 40
        y, x = np.nonzero(mask)
        (xx, xy), (_, yy) = np.cov(x, -y)
        assert abs(0.5 * np.arctan2(2 * xy, xx - yy) - source.orientation[i]) < 0.05
        red, green, blue = pixels[int(y.mean()), int(x.mean())]
        # From red to yellow green rises, from yellow to green red falls; blue stays lowest.
        low, high = blue, max(red, green)
        hue = (green - low) / (high - low) / 6 if red >= green else (2 - (red - low) / (high - low)) / 6
        assert abs(hue - source.hue[i]) < 0.01
