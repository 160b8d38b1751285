"""CIFAR in its official form: small archives of pickled batches, with the checksums that torchvision would have."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from leangan.data.contracts import DatasetError
from leangan.data.readers.cifar import Cifar

PER_BATCH = 3


def write_official(folder, monkeypatch, official=CIFAR10, labels_key="labels"):
    """A folder and an archive in the official form; returns pixels and labels of the training images, in order."""
    rng = np.random.default_rng(0)
    inside = folder / official.base_folder
    inside.mkdir()
    images, labels = [], []
    for part in ("train_list", "test_list"):
        checksums = []
        for file, _ in getattr(official, part):
            pixels = rng.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)
            classes = rng.integers(0, 10, PER_BATCH).tolist()
            content = pickle.dumps({"data": pixels, labels_key: classes}, protocol=2)
            (inside / file).write_bytes(content)
            checksums.append([file, hashlib.md5(content).hexdigest()])
            if part == "train_list":
                images.append(pixels)
                labels += classes
        monkeypatch.setattr(official, part, checksums)
    content = pickle.dumps({official.meta["key"]: [f"class {k}" for k in range(10)]}, protocol=2)
    (inside / official.meta["filename"]).write_bytes(content)
    monkeypatch.setattr(official, "meta", {**official.meta, "md5": hashlib.md5(content).hexdigest()})
    with tarfile.open(folder / "official.tar.gz", "w:gz") as archive:
        archive.add(inside, official.base_folder)
    monkeypatch.setattr(official, "tgz_md5", hashlib.md5((folder / "official.tar.gz").read_bytes()).hexdigest())
    return np.concatenate(images), labels


@pytest.mark.parametrize("form", ["official.tar.gz", ".", "cifar-10-batches-py"])
def test_archive_and_folder_give_the_official_images_in_order(tmp_path, monkeypatch, form):
    rows, labels = write_official(tmp_path, monkeypatch)
    source = Cifar("cifar10", tmp_path / form, "not stated")
    assert len(source) == 5 * PER_BATCH
    assert source.labels.tolist() == labels and source.labels.dtype == np.int64
    assert source.class_names[3] == "class 3"
    for i in (0, PER_BATCH, len(source) - 1):
        # A row holds the red plane, then the green, then the blue one, each line by line.
        red, green, blue = rows[i].reshape(3, 1024)
        assert source.image(i).getpixel((31, 0)) == (red[31], green[31], blue[31])
        assert source.image(i).getpixel((0, 1)) == (red[32], green[32], blue[32])
    assert len(Cifar("cifar10-test", tmp_path / form, "not stated")) == PER_BATCH


def test_cifar100_has_its_fine_labels(tmp_path, monkeypatch):
    _, labels = write_official(tmp_path, monkeypatch, CIFAR100, "fine_labels")
    assert Cifar("cifar100", tmp_path / "official.tar.gz", "not stated").labels.tolist() == labels


def test_it_travels_to_another_process_with_its_pixels(tmp_path, monkeypatch):
    write_official(tmp_path, monkeypatch)
    source = Cifar("cifar10", tmp_path / "official.tar.gz", "not stated")
    sent = pickle.dumps(source)
    (tmp_path / "official.tar.gz").unlink()
    assert pickle.loads(sent).image(4) == source.image(4)


class Foreign:
    def __reduce__(self):
        return pytest.fail, ("a foreign pickle was executed",)


def test_nothing_is_unpickled_before_its_checksum_is_right(tmp_path, monkeypatch):
    write_official(tmp_path, monkeypatch)
    inside = tmp_path / CIFAR10.base_folder
    good = (inside / "data_batch_2").read_bytes()
    (inside / "data_batch_2").write_bytes(pickle.dumps(Foreign()))
    with pytest.raises(DatasetError, match="MD5 of data_batch_2 is .*, not the official .*; fetch it again"):
        Cifar("cifar10", tmp_path, "not stated")
    (inside / "data_batch_2").write_bytes(good)
    (inside / "batches.meta").write_bytes(pickle.dumps(Foreign()))
    with pytest.raises(DatasetError, match="MD5 of batches.meta"):
        Cifar("cifar10", tmp_path, "not stated")


def test_damaged_and_foreign_archives_are_named(tmp_path, monkeypatch):
    write_official(tmp_path, monkeypatch)
    whole = (tmp_path / "official.tar.gz").read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: len(whole) // 2])
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    for name in ("half.tar.gz", "other.tar.gz"):
        with pytest.raises(DatasetError, match=f"MD5 of {name} is .*, not the official .*; fetch it again"):
            Cifar("cifar10", tmp_path / name, "not stated")
