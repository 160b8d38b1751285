"""TFRecords: read back what TensorFlow wrote, and small files built here in the same form."""

from __future__ import annotations

import base64
import pickle
import struct

import google_crc32c
import numpy as np
import pytest

from leangan.data.contracts import DatasetError, open_dataset
from leangan.data.prepare import prepare
from leangan.data.readers.tfrecord import TFRecords

# Two images uint8 [3, 2, 2], 0 to 11 and 100 to 111, as TensorFlow 2.21 writes them.
TENSORFLOW = (
    "LgAAAAAAAADFy1f6CiwKEAoFc2hhcGUSBxoFCgMDAgIKGAoEZGF0YRIQCg4KDAABAgMEBQYHCAkKC7IwyuouAAAAAAAAAMXLV/oKLAoQCgVz"
    "aGFwZRIHGgUKAwMCAgoYCgRkYXRhEhAKDgoMZGVmZ2hpamtsbW5vzRUrQw=="
)


def varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protocol buffers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def checked(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return content + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(shape: list[int], data: bytes) -> bytes:
    integers = field(3, field(1, b"".join(map(varint, shape))))
    features = {b"shape": integers, b"data": field(1, field(1, data))}
    example = field(1, b"".join(field(1, field(1, key) + field(2, value)) for key, value in features.items()))
    return checked(struct.pack("<Q", len(example))) + checked(example)


def images(resolution: int, count: int = 3) -> np.ndarray:
    return np.random.RandomState(resolution).randint(0, 256, (count, 3, resolution, resolution)).astype(np.uint8)


def write(path, pixels: np.ndarray):
    path.write_bytes(b"".join(record(list(image.shape), image.tobytes()) for image in pixels))
    return path


def test_reads_what_tensorflow_wrote(tmp_path):
    path = tmp_path / "tiny-r01.tfrecords"
    path.write_bytes(base64.b64decode(TENSORFLOW))
    source = TFRecords("tiny", path, "free")
    assert len(source) == 2
    for index, first in enumerate((0, 100)):
        pixels = np.asarray(source.image(index)).transpose(2, 0, 1)
        assert np.array_equal(pixels, first + np.arange(12).reshape(3, 2, 2))
    written = b"".join(record([3, 2, 2], bytes(range(first, first + 12))) for first in (0, 100))
    assert written == path.read_bytes()  # so the files that the other tests build are in TensorFlow's form, too


def test_a_folder_gives_the_file_of_the_resolution_with_its_classes(tmp_path):
    for power in (2, 3):
        write(tmp_path / f"cats-r{power:02d}.tfrecords", images(2**power))
    np.save(tmp_path / "labels.npy", np.eye(4, dtype=np.float32)[[2, 0, 2]])
    (tmp_path / "labels.npy").rename(tmp_path / "cats-rxx.labels")
    source = TFRecords("cats", tmp_path, "free")
    assert source.labels.tolist() == [2, 0, 2]
    assert source.class_names == ["0", "1", "2", "3"]
    meta = prepare(source, tmp_path / "out" / "cats-4.npy", 4, jobs=2)
    assert np.array_equal(open_dataset(tmp_path / "out" / "cats-4.npy").images, images(4))
    assert meta["source"] == "TFRecords cats-r02.tfrecords"
    # No file of 2 pixels: the largest is made smaller by averaging, as in the files themselves.
    prepare(source, tmp_path / "out" / "cats-2.npy", 2)
    means = images(8).reshape(3, 3, 2, 4, 2, 4).mean((3, 5))
    assert np.abs(open_dataset(tmp_path / "out" / "cats-2.npy").images - means).max() <= 1


def test_every_resolution_must_have_the_images_that_the_labels_are_for(tmp_path):
    for power, count in ((2, 2), (3, 3)):
        write(tmp_path / f"cats-r{power:02d}.tfrecords", images(2**power, count))
    np.save(tmp_path / "labels.npy", np.eye(3))
    (tmp_path / "labels.npy").rename(tmp_path / "cats-rxx.labels")
    source = TFRecords("cats", tmp_path, "free")
    with pytest.raises(DatasetError, match="cats-rxx.labels: .*one row for each of 2 images"):
        source.at(4)


def test_grey_images_become_colour_and_processes_share_nothing(tmp_path):
    grey = images(4)[:, :1]
    source = TFRecords("grey", write(tmp_path / "grey.tfrecords", grey), "free")
    source.image(0)
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(np.asarray(copy.image(2)), np.repeat(grey[2].transpose(1, 2, 0), 3, axis=2))


@pytest.mark.parametrize(("position", "message"), [(3, "record 0 is damaged"), (50, "record 0 is damaged")])
def test_damage_is_found_by_its_checksum(tmp_path, position, message):
    path = write(tmp_path / "cats-r02.tfrecords", images(4))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"cats-r02.tfrecords.*{message}"):
        TFRecords("cats", path, "free").image(0)


@pytest.mark.parametrize("missing", [1, 30, 84])
def test_a_file_that_is_cut_off(tmp_path, missing):
    path = write(tmp_path / "cats-r02.tfrecords", images(4))
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DatasetError, match="record 2 is (cut off|damaged)"):
        len(TFRecords("cats", path, "free"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (record([3, 2, 2], bytes(11)), "11 bytes do not make an image of shape .3, 2, 2."),
        (record([2, 2, 3], bytes(12)), "channels first"),
        (checked(struct.pack("<Q", 3)) + checked(b"\xff\xff\xff"), "not an image with the features"),
        (checked(struct.pack("<Q", 0)) + checked(b""), "not an image with the features"),
    ],
    ids=["too short", "channels last", "no message", "empty"],
)
def test_records_that_are_no_images(tmp_path, content, message):
    (tmp_path / "a.tfrecords").write_bytes(content)
    with pytest.raises(DatasetError, match=f"a.tfrecords, record 0: .*{message}"):
        TFRecords("a", tmp_path / "a.tfrecords", "free").image(0)


def test_folders_that_make_no_sense(tmp_path):
    with pytest.raises(DatasetError, match="no \\*-rNN.tfrecords; give"):
        TFRecords("a", tmp_path, "free")
    for name in ("cats", "dogs"):
        write(tmp_path / f"{name}-r01.tfrecords", images(2))
    with pytest.raises(DatasetError, match="files of cats, dogs; give"):
        TFRecords("a", tmp_path, "free")
    (tmp_path / "empty.tfrecords").write_bytes(b"")
    with pytest.raises(DatasetError, match="holds no record"):
        len(TFRecords("a", tmp_path / "empty.tfrecords", "free"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.eye(2), "shape .2, 2., but one row for each of 3 images"),
        (np.ones((3, 2)), "not one-hot"),
        (np.array([{}, 1, 2]), "not an array of labels"),  # would need unpickling
    ],
)
def test_labels_that_do_not_fit(tmp_path, rows, message):
    path = write(tmp_path / "cats-r02.tfrecords", images(4))
    np.save(tmp_path / "labels.npy", rows, allow_pickle=True)
    (tmp_path / "labels.npy").rename(tmp_path / "cats-rxx.labels")
    with pytest.raises(DatasetError, match=f"cats-rxx.labels: .*{message}"):
        TFRecords("cats", path, "free")


def test_labels_of_no_class(tmp_path):
    path = write(tmp_path / "cats-r02.tfrecords", images(4))
    np.save(tmp_path / "labels.npy", np.zeros((3, 0), np.float32))
    (tmp_path / "labels.npy").rename(tmp_path / "cats-rxx.labels")
    assert TFRecords("cats", path, "free").labels is None
