"""Prepared arrays, their metadata, and subsets of them."""

from __future__ import annotations

import hashlib
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError, Reported
from leangan.data.contracts import DatasetError, Expected, open_dataset
from leangan.data.prepare import main, prepare
from leangan.data.readers.archive import Archive
from leangan.data.readers.folder import Folder
from leangan.data.readers.procedural import Procedural
from leangan.data.subset import choose, read_subset
from leangan.data.subset import main as subset_main


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for i in range(5):
        pixels = np.random.RandomState(i).randint(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    return root


def files(path):
    return sorted(file.name for file in path.iterdir() if file.is_file() and not file.name.startswith("."))


def test_pixels_arrive_unchanged_with_their_metadata(folder, tmp_path):
    meta = prepare(Folder("mine", folder, "free"), tmp_path / "mine-8.npy")
    dataset = open_dataset(tmp_path / "mine-8.npy")
    assert dataset.images.shape == (5, 3, 8, 8)
    for i in range(5):
        original = np.random.RandomState(i).randint(0, 255, (8, 8, 3)).astype(np.uint8)
        assert np.array_equal(dataset.images[i].transpose(1, 2, 0), original)
    assert dataset.labels is None
    assert meta["sha256"] == hashlib.sha256(np.asarray(dataset.images).tobytes()).hexdigest()
    assert (meta["name"], meta["resolution"], meta["count"], meta["classes"]) == ("mine", 8, 5, 0)
    assert str(tmp_path) not in json.dumps(meta)


def test_the_same_source_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        prepare(Procedural("free", "drawn", count=300), tmp_path / f"{name}.npy", 16)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert open_dataset(tmp_path / "a.npy").labels.shape == (300,)


def test_mixed_sizes_need_a_resolution(folder, tmp_path):
    Image.new("RGB", (16, 16)).save(folder / "9.png")
    source = Folder("mine", folder, "free")
    with pytest.raises(DatasetError, match="9.png: 16 x 16, while .*0.png has 8 pixels; .*--resolution"):
        prepare(source, tmp_path / "out" / "mine.npy")
    assert files(tmp_path / "out") == []
    assert prepare(source, tmp_path / "out" / "mine.npy", resolution=8)["count"] == 6


def test_a_broken_image_leaves_the_earlier_array_alone(folder, tmp_path):
    prepare(Folder("mine", folder, "free"), tmp_path / "mine.npy")
    (folder / "3.png").write_bytes(b"no image")
    before = (tmp_path / "mine.npy").read_bytes()
    with pytest.raises(DatasetError, match="3.png: not a readable image"):
        prepare(Folder("mine", folder, "free"), tmp_path / "mine.npy")
    assert files(tmp_path) == ["mine.json", "mine.npy"]
    assert (tmp_path / "mine.npy").read_bytes() == before
    open_dataset(tmp_path / "mine.npy")


class Published(Folder):
    """A folder whose published protocol crops and filters in its own way."""

    crop = True
    resize = "lanczos"


def test_the_published_protocol_holds_unless_told_otherwise(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    picture = Image.fromarray(np.random.RandomState(0).randint(0, 255, (8, 12, 3)).astype(np.uint8))
    picture.save(root / "0.png")
    source = Published("mine", root, "free")
    meta = prepare(source, tmp_path / "a.npy", 4)
    centre = picture.crop((2, 0, 10, 8))
    published = np.asarray(centre.resize((4, 4), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(open_dataset(tmp_path / "a.npy").images[0], published)
    assert (meta["crop"], meta["resize"]) == (True, "lanczos")
    prepare(source, tmp_path / "a.npy", 4, resize="box")
    averaged = np.asarray(centre.resize((4, 4), Image.Resampling.BOX)).transpose(2, 0, 1)
    assert np.array_equal(open_dataset(tmp_path / "a.npy").images[0], averaged)
    with pytest.raises(DatasetError, match="12 x 8 is not square"):
        prepare(source, tmp_path / "a.npy", 4, crop=False)


def test_what_is_known_of_a_set_is_verified_first(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    source = Archive("mine", tmp_path / "mine.zip", "free")
    digest = hashlib.sha256((tmp_path / "mine.zip").read_bytes()).hexdigest()
    for expected, message in (
        (Expected(count=6), "mine: 5 images, the published set has 6; complete it"),
        (Expected(5, "0" * 64), f"mine.zip: SHA-256 is {digest}, that of the published mine is 000"),
    ):
        source.expected = expected
        with pytest.raises(DatasetError, match=message):
            prepare(source, tmp_path / "out" / "mine.npy")
        assert not (tmp_path / "out").exists()
    source.expected = Expected(5, digest)
    assert prepare(source, tmp_path / "out" / "mine.npy")["count"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "mine.npz"}, "mine.npz: the prepared array must be named"),
        ({"resolution": 0}, "resolution 0 must be at least 1 pixel .--resolution."),
        ({"jobs": 0}, "0 jobs .* .--jobs."),
    ],
)
def test_arguments_that_make_no_sense(folder, tmp_path, arguments, message):
    out = tmp_path / arguments.pop("out", "mine.npy")
    with pytest.raises(ConfigError, match=message):
        prepare(Folder("mine", folder, "free"), out, **arguments)


def test_command_ends_with_one_line_for_a_user_error(tmp_path):
    with pytest.raises(Reported, match="unknown data set 'elvp'[^\n]*$"):
        main(["--dataset", "elvp", "--path", "", "--out", str(tmp_path / "x.npy")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 4}, "says uint8"),
        ({"labels": [0, 1], "classes": 2}, "as many labels"),
        ({"labels": [0, 1, 2, 0, 0], "classes": 2}, "labels in .0, 2."),
    ],
)
def test_array_and_metadata_must_agree(folder, tmp_path, change, message):
    meta = prepare(Folder("mine", folder, "free"), tmp_path / "mine.npy") | change
    (tmp_path / "mine.json").write_text(json.dumps(meta))
    with pytest.raises(DatasetError, match=message):
        open_dataset(tmp_path / "mine.npy")


def test_missing_files_say_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match="x.npy: no such file; .*leangan prepare"):
        open_dataset(tmp_path / "x.npy")


def test_subset_is_the_published_permutation_and_nested():
    order = np.random.RandomState(123).permutation(100).tolist()
    small, large = choose(100, 10, seed=123), choose(100, 40, seed=123)
    assert small["indices"] == order[:10]
    assert small["validation"] == order[10:20]
    assert large["indices"][:10] == small["indices"]
    assert choose(100, 95, seed=123)["validation"] == order[95:]
    assert choose(100, 100, seed=123)["validation"] == []
    assert len(choose(2000, 1000, seed=0)["validation"]) == 500
    assert choose(100, 10, seed=123, n_validation=0)["validation"] == []
    assert choose(100, 10, seed=124)["indices"] != small["indices"]


@pytest.mark.parametrize("size", [0, 101])
def test_impossible_size_names_both_numbers(size):
    with pytest.raises(DatasetError, match=f"{size} .*100 images"):
        choose(100, size, seed=0)


def test_subset_belongs_to_its_data(folder, tmp_path):
    prepare(Folder("mine", folder, "free"), tmp_path / "mine.npy")
    arguments = ["--data", str(tmp_path / "mine.npy"), "--size", "3", "--seed", "7"]
    subset_main([*arguments, "--out", str(tmp_path / "s.json")])
    dataset = open_dataset(tmp_path / "mine.npy")
    subset = read_subset(tmp_path / "s.json", dataset)
    assert subset["indices"] == np.random.RandomState(7).permutation(5)[:3].tolist()
    assert (subset["dataset"], subset["resolution"], subset["size"], subset["seed"]) == ("mine", 8, 3, 7)

    Image.new("RGB", (8, 8)).save(folder / "0.png")
    prepare(Folder("mine", folder, "free"), tmp_path / "mine.npy")
    with pytest.raises(DatasetError, match="subset of other data than mine"):
        read_subset(tmp_path / "s.json", open_dataset(tmp_path / "mine.npy"))
