"""The published sets, in small, in each official form: which images are taken, in which order, with which labels."""

from __future__ import annotations

import dataclasses
import io
import pickle
import zipfile
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from leangan.data import known_sets as table
from leangan.data import open_source as sources
from leangan.data.contracts import DatasetError, Source
from leangan.data.forms import Form
from leangan.data.open_source import open_source
from leangan.data.prepare import prepare
from leangan.data.readers import images
from leangan.data.readers.brecahad import Crops


def encoded(value: int, size: tuple[int, int] = (8, 8), form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(file, form)
    return file.getvalue()


def write(root, files: dict[str, bytes]):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def reds(source) -> list[int]:
    return [source.image(i).getpixel((0, 0))[0] for i in range(len(source))]


@pytest.fixture
def published(monkeypatch):
    """Replaces values of the table's rows by those of the small sets."""

    def change(**sets):
        rows = table.known_sets()
        small = {name: dataclasses.replace(rows[name], **values) for name, values in sets.items()}
        for module in (sources, table):
            monkeypatch.setattr(module, "known_sets", lambda path=None: {**rows, **small})

    return change


def test_ffhq_folders_of_a_thousand_images_are_no_classes(tmp_path):
    files = {f"images1024x1024/{i:02d}000/{i:02d}000.png": encoded(i) for i in (1, 0)}
    root = write(tmp_path, {**files, "thumbnails128x128/00000/00000.png": encoded(9)})
    archive = zipped(tmp_path / "a.zip", {"0/a.png": encoded(0), "1/b.png": encoded(1)})
    for path in (root, root / "images1024x1024", archive):
        source = open_source("ffhq", path)
        assert (reds(source), source.labels, source.class_names) == ([0, 1], None, [])
        assert (source.resize, source.crop, source.expected.count) == ("box", False, 70000)


class Levels(Source):
    """Three images, published at several resolutions: each level has its own number as red."""

    name, licence, labels = "levels", "free", None

    def __init__(self, level: int = 10):
        self.level, self.origin = level, f"level {level}"

    def __len__(self):
        return 3

    def image(self, index):
        return Image.new("RGB", (2**self.level % 200, 8), (self.level, index, 0))

    def at(self, resolution):
        return Levels(resolution.bit_length() - 1)


def test_ffhq_records_are_those_of_the_resolution_and_keep_what_is_published(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "form_of", lambda path: Form("levels", Path.is_dir, lambda *_: Levels()))
    source = open_source("ffhq", tmp_path)
    assert reds(source) == [10] * 3
    moved = source.at(256)
    assert (reds(moved), moved.origin, moved.expected.count, moved.resize) == ([8] * 3, "level 8", 70000, "box")
    assert reds(source) == [10] * 3


def test_an_incomplete_set_is_refused_with_both_numbers(tmp_path):
    write(tmp_path, {"00000/00000.png": encoded(1)})
    with pytest.raises(DatasetError, match="ffhq: 1 images, the published set has 70000"):
        prepare(open_source("ffhq", tmp_path), tmp_path / "out" / "ffhq-8.npy", 8)


@pytest.mark.parametrize("name", ["afhq-cat", "afhq-dog", "afhq-wild"])
def test_afhq_is_one_part_of_the_official_folder_or_archive(tmp_path, name):
    kinds = {"cat": 1, "dog": 2, "wild": 3}
    files = {f"afhq/train/{kind}/x{i}.jpg": encoded(value) for kind, value in kinds.items() for i in range(2)}
    files |= {f"afhq/val/{kind}/x0.jpg": encoded(9) for kind in kinds}
    root, kind = write(tmp_path, files), name.removeprefix("afhq-")
    for path in (root / "afhq", root / f"afhq/train/{kind}", zipped(tmp_path / "afhq.zip", files)):
        source = open_source(name, path)
        assert reds(source) == [kinds[kind]] * 2
        assert source.labels is None


def write_lmdb(folder, images: dict[str, bytes]):
    with lmdb.open(str(folder), map_size=2**20) as database, database.begin(write=True) as transaction:
        for key, content in images.items():
            transaction.put(key.encode(), content)
    return folder


def test_lsun_cat_is_the_first_images_in_the_order_of_the_keys(tmp_path, published):
    published(**{"lsun-cat": {"count": 3}})
    images = {f"{i:040x}": encoded(10 * i, (12, 8)) for i in (4, 1, 3, 0, 2)}
    source = open_source("lsun-cat", write_lmdb(tmp_path / "cat_lmdb", images))
    assert reds(source) == [0, 10, 20]
    assert (source.resize, source.crop, source.labels) == ("lanczos", True, None)
    assert reds(open_source("lsun-cat-full", tmp_path / "cat_lmdb")) == [0, 10, 20, 30, 40]
    assert reds(pickle.loads(pickle.dumps(source))) == [0, 10, 20]
    assert prepare(source, tmp_path / "cat-4.npy", 4)["count"] == 3


def test_imagenet_takes_its_classes_from_the_tree_and_its_held_out_images_from_val(tmp_path, published):
    tree = {"n02": [3], "n01": [1, 2]}
    files = {f"train/{wnid}/{v}.JPEG": encoded(v, form="PNG") for wnid, values in tree.items() for v in values}
    root = write(tmp_path, {**files, "val/ILSVRC2012_val_1.JPEG": encoded(7), "val/ILSVRC2012_val_2.JPEG": encoded(8)})
    with pytest.raises(DatasetError, match="2 classes, while imagenet has 1000"):
        open_source("imagenet", root)
    published(imagenet={"classes": 2})
    train = open_source("imagenet", root)
    assert (reds(train), train.labels.tolist(), train.class_names) == ([1, 2, 3], [0, 0, 1], ["n01", "n02"])
    held_out = open_source("imagenet-val", root)
    assert (reds(held_out), held_out.labels, held_out.crop) == ([7, 8], None, True)


def test_brecahad_crops_are_the_published_ones(tmp_path):
    """162 images of 1360 x 1024 give 1,944 crops of 512 pixels that overlap by half (arXiv:2006.06676)."""
    x, y = np.meshgrid(np.arange(1360), np.arange(1024))
    pixels = np.stack([x // 8, y // 8, np.zeros_like(x)], axis=2).astype(np.uint8)
    for i in range(2):
        pixels[:, :, 2] = i
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"images/Case_{i}.tif")
    write(tmp_path, {"groundTruth/Case_0.json": b"{}", "groundTruth_display/Case_0.png": encoded(0)})
    source = open_source("brecahad", tmp_path)
    assert 162 * len(source) // 2 == 1944 == source.expected.count
    corners = [source.image(i).getpixel((0, 0)) for i in range(len(source))]
    assert corners == [(32 * c, 32 * r, i) for i in range(2) for r in range(3) for c in range(4)]
    assert {source.image(i).size for i in range(len(source))} == {(512, 512)}
    assert pickle.loads(pickle.dumps(source)).image(17).getpixel((511, 511)) == ((256 + 511) // 8, (256 + 511) // 8, 1)
    archive = zipped(tmp_path / "b.zip", {f"BreCaHAD/{f.relative_to(tmp_path)}": f.read_bytes()
                                          for f in tmp_path.rglob("*_*.*")})  # fmt: skip
    assert len(open_source("brecahad", archive)) == len(source)


def test_crops_of_images_that_are_too_small_or_differ(tmp_path):
    with pytest.raises(DatasetError, match="500 x 600 holds no crop of 512"):
        open_source("brecahad", write(tmp_path / "a", {"1.png": encoded(1, (500, 600))}))
    files = {"1.png": encoded(1, (512, 512)), "2.png": encoded(1, (512, 768)), "notes.txt": b""}
    with pytest.raises(DatasetError, match="2.png: .512, 768. pixels, while the first has .512, 512"):
        open_source("brecahad", write(tmp_path / "b", files)).image(1)
    assert isinstance(open_source("brecahad", tmp_path / "b"), Crops)
    assert open_source("brecahad", tmp_path / "b").left_out == {"not images": ["notes.txt"]}


def test_low_shot_archives_hold_their_images_at_the_top(tmp_path):
    files = {f"{i}.jpg": encoded(i) for i in range(3)}
    source = open_source("100-shot-obama", zipped(tmp_path / "100-shot-obama.zip", files))
    assert (len(source), source.labels, source.expected.count, source.resize) == (3, None, 100, "lanczos")
