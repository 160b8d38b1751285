"""Folders and ZIPs as people have them: which files are images, which are left out and why, which class each has."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.image import FORMATS
from leangan.data.known_sets import known_sets
from leangan.data.readers import images
from leangan.data.readers.archive import Archive
from leangan.data.readers.folder import Folder
from leangan.data.readers.kinds import SUFFIXES


def encoded(value: int = 1, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(file, form)
    return file.getvalue()


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files; names that end with / are empty folders."""
    for name, content in files.items():
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    return root


def zip_of(folder: Path, folders: bool = True) -> Path:
    """A ZIP of a folder, with entries for its folders or, as some programs make it, without."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            if folders or file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def both(tmp_path: Path, files: dict[str, bytes], *arguments) -> Folder:
    """The folder, once the ZIP of it has been found to say the same."""
    root = folder_of(tmp_path / "pets", files)
    source = Folder("mine", root, "free", *arguments)
    archive = Archive("mine", zip_of(root), "free", *arguments)
    assert archive.files == source.files
    assert archive.class_names == source.class_names
    assert (archive.labels is None) == (source.labels is None)
    assert archive.labels is None or archive.labels.tolist() == source.labels.tolist()
    assert archive.left_out == source.left_out
    assert [archive.image(i).tobytes() for i in range(len(archive))] == [
        source.image(i).tobytes() for i in range(len(source))
    ]
    return source


def refused(tmp_path: Path, files: dict[str, bytes], message: str, *arguments) -> None:
    root = folder_of(tmp_path / "pets", files)
    with pytest.raises(DatasetError, match=message):
        Folder("mine", root, "free", *arguments)
    with pytest.raises(DatasetError, match=message):
        Archive("mine", zip_of(root), "free", *arguments)


PNG = encoded()


@pytest.mark.parametrize(
    ("names", "labels", "classes"),
    [
        (["1.png", "2.png"], None, []),
        (["cat/1.png", "dog/2.png"], [0, 1], ["cat", "dog"]),
        (["pets/cat/1.png", "pets/dog/2.png", "readme.txt"], [0, 1], ["cat", "dog"]),
        (["a/b/cat/x/1.png", "a/b/cat/2.png", "a/b/dog/y/3.png"], [0, 0, 1], ["cat", "dog"]),
        (["pets/1.png", "pets/2.png"], None, []),
        (["images/1.png", "annotations/1.xml"], None, []),
        (["cat/1.png", "dog/1.png", "docs/readme.txt"], [0, 1], ["cat", "dog"]),
        (["00000/1.png", "00001/2.png"], None, []),
        (["pets/00000/1.png", "pets/00001/2.png"], None, []),
        (["1.png", "empty/"], None, []),
        (["train/cat/1.png", "train/dog/1.png"], [0, 1], ["cat", "dog"]),
    ],
)
def test_folders_are_classes_where_they_tell_images_apart(tmp_path, names, labels, classes):
    source = both(
        tmp_path, dict.fromkeys(names, PNG) | {name: b"text" for name in names if name[-3:] in ("txt", "xml")}
    )
    assert (source.labels if labels is None else source.labels.tolist()) == labels
    assert source.class_names == classes
    assert source.files == [name for name in sorted(names) if name.endswith(".png")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat/1.png", "2.png"], "pets.*: 2.png lies beside class folders"),
        (["cat/1.png", "dog/"], "dog: class folder without an image; fill or remove it"),
        (["cat/1.png", "cow/1.png", "dog/"], "dog: class folder without an image"),
        (["cat/1.png", "cow/1.png", "dog/.DS_Store"], "dog: class folder without an image"),
        (["cat/1.png", "dog/1.heic", "dog/readme.txt"], "dog: class folder without an image"),
        (["train/cat/1.png", "test/cat/1.png"], "test and train are splits, not classes; give one of them alone"),
        (["images/1.png", "masks/1.png"], "images and masks are images and what belongs to them, not classes"),
        (["a\nb/1.png", "c/1.png"], r"class folder a\\nb has a name that is no text; rename it"),
        (["caf\u00e9/1.png", "cafe\u0301/1.png"], "two class folders of the same name, accents stored differently"),
        (
            ["1.heic", "2.heic", "3.heic", "4.heic"],
            r"no image .*HEIC images, .* as PNG or JPEG \(1.heic, .*, 3.heic and 1",
        ),
    ],
)
def test_folders_that_fit_no_rule_are_refused(tmp_path, names, message):
    refused(tmp_path, dict.fromkeys(names, PNG) | {name: b"" for name in names if not name.endswith("png")}, message)


def test_files_of_systems_are_left_out_and_said(tmp_path):
    junk = [
        "__MACOSX/cat/._1.png", ".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/@eaDir/1.png/SYNO.png",
        "desktop.ini", ".ipynb_checkpoints/1-checkpoint.png", "lost+found/", "$RECYCLE.BIN/2.png", "cat/._1.png",
    ]  # fmt: skip
    source = both(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, **dict.fromkeys(junk, PNG)})
    assert source.files == ["cat/1.png", "dog/1.png"]
    assert source.class_names == ["cat", "dog"]
    assert source.left_out == {
        "hidden or left by a system": [
            "$RECYCLE.BIN/", ".DS_Store", ".ipynb_checkpoints/", "__MACOSX/", "cat/.DS_Store", "cat/._1.png",
            "cat/@eaDir/", "cat/Thumbs.db", "desktop.ini", "lost+found/",
        ]
    }  # fmt: skip


def test_files_are_images_by_what_they_hold(tmp_path):
    names = {
        "a.JPG": "JPEG",
        "b.jfif": "JPEG",
        "c.gif": "GIF",
        "d.ppm": "PPM",
        "e": "PNG",
        "f.dat": "TIFF",
        "g.jpeg_": "JPEG",
    }
    files = {name: encoded(10 * number, form) for number, (name, form) in enumerate(names.items())}
    source = both(
        tmp_path, {**files, "notes.txt": b"BMW and others, in 1990", "P5.txt": b"P5 is a letter", "empty": b""}
    )
    assert source.files == list(names)
    assert [source.image(i).convert("RGB").getpixel((0, 0))[0] for i in range(7)] == [0, 10, 20, 30, 40, 50, 60]
    assert source.left_out == {"not images": ["P5.txt", "empty", "notes.txt"]}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_that_is_decoded_is_known_by_its_first_bytes(tmp_path, form):
    source = both(tmp_path, {"picture": encoded(7, form)})
    assert source.files == ["picture"]


def test_every_suffix_is_one_of_a_format_that_is_decoded():
    Image.init()
    formats = {Image.registered_extensions().get(suffix) for suffix in SUFFIXES - {".jpe"}}
    assert formats == {*FORMATS, "MPO"}  # MPO is JPEG with more pictures


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC images"),
        ("a", b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC images"),
        ("a.bin", b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF images"),
        ("b.avif", b"", "AVIF images"),
        ("a.mov", b"\0\0\0\x14ftypqt  ", "videos"),
        ("a.mkv", b"\x1a\x45\xdf\xa3", "videos"),
        ("a.nef", encoded(form="TIFF"), "cameras' raw files"),
        ("a.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "drawings"),
        ("a.psd", b"8BPS\0\1", "Photoshop images"),
        ("a.jp2", encoded(form="JPEG2000"), "JPEG 2000 images"),
        ("a.tga", encoded(form="TGA"), "TGA, DICOM and HDR images"),
    ],
)
def test_pictures_that_are_not_read_are_named_by_their_kind(tmp_path, name, head, kind):
    source = both(tmp_path, {"1.png": PNG, name: head})
    assert source.left_out == {f"{kind}, which are not read; save them as PNG or JPEG": [name]}


def test_known_sets_say_themselves_whether_folders_are_classes(tmp_path):
    names = ["train/00001/1.png", "train/00002/2.png", "val/x/3.png"]
    root = folder_of(tmp_path / "a" / "numbers", {name: encoded(i) for i, name in enumerate(names)})
    folder_of(root, {"train/notes.txt": b"", "val/notes.txt": b"", "readme.txt": b""})
    base = dataclasses.replace(known_sets()["imagenet"], name="numbers", count=None, crop=False)
    for path in (root, zip_of(root), zip_of(root, folders=False), root.parent, zip_of(root.parent)):
        source = images.open_set(dataclasses.replace(base, classes=2), path)
        assert (source.labels.tolist(), source.class_names) == ([0, 1], ["00001", "00002"])
        ((reason, names),) = source.left_out.items()
        assert (reason, [Path(name).name for name in names]) == ("not images", ["notes.txt"])
        source = images.open_set(dataclasses.replace(base, classes=0), path)
        assert (len(source), source.labels) == (2, None)
        source = images.open_set(dataclasses.replace(base, classes=0, part="val"), path)
        assert [source.image(i).getpixel((0, 0))[0] for i in range(len(source))] == [2]


def test_what_is_wrong_with_labels_does_not_matter_to_a_set_without(tmp_path):
    files = {"a/dataset.json": b"{", "dataset.json": b"", "cat/1.png": PNG, "2.png": PNG, "dog/": b""}
    assert both(tmp_path, files, "", 0).files == ["2.png", "cat/1.png"]


def test_links_are_followed(tmp_path):
    elsewhere = folder_of(tmp_path / "elsewhere", {"cat/1.png": PNG, "dog/2.png": PNG, "3.png": PNG})
    root = tmp_path / "pets"
    root.mkdir()
    for name in ("cat", "dog"):
        (root / name).symlink_to(elsewhere / name)
    (root / "dog/4.png").symlink_to(elsewhere / "3.png")
    (tmp_path / "link").symlink_to(root)
    for path in (root, tmp_path / "link"):
        source = Folder("mine", path, "free")
        assert source.files == ["cat/1.png", "dog/2.png", "dog/4.png"]
        assert source.labels.tolist() == [0, 1, 1]
        assert len(source.image(2).tobytes()) == 48


@pytest.mark.parametrize(
    ("link", "goal", "message"),
    [
        ("cat/loop", ".", "cat/loop: is cat/ once more; remove one of the links"),
        ("cat/loop", "..", "cat/loop: is the set's own folder once more"),
        ("kitten", "cat", "kitten: is cat/ once more"),
        ("cat/2.png", "../gone/2.png", "cat/2.png: is a link to ../gone/2.png, which is not there; mend"),
        ("cat/2.png", "2.png", "cat/2.png: is a link that cannot be followed"),
    ],
)
def test_links_that_lead_nowhere_new_are_refused_by_name(tmp_path, link, goal, message):
    root = folder_of(tmp_path / "pets", {"cat/1.png": PNG, "dog/1.png": PNG})
    (root / link).symlink_to(goal)
    (tmp_path / "way").symlink_to(root)
    for path in (root, tmp_path / "way"):
        with pytest.raises(DatasetError, match=f"{path}/{message}"):
            Folder("mine", path, "free")


def test_several_broken_links_are_counted(tmp_path):
    root = folder_of(tmp_path / "pets", {"1.png": PNG})
    for number in range(5):
        (root / f"{number}.jpg").symlink_to("gone")
    with pytest.raises(DatasetError, match=r"0.jpg: is a link to gone, .* \(4 more cannot be read\)"):
        Folder("mine", root, "free")


@pytest.mark.parametrize("name", ["cat", "."])
def test_a_folder_that_may_not_be_listed_is_an_error_with_its_name(tmp_path, monkeypatch, name):
    root = folder_of(tmp_path / "pets", {"cat/1.png": PNG, "dog/1.png": PNG})
    scandir = os.scandir

    def refusing(path):
        if Path(path) == root / name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DatasetError, match=f"{root / name}: cannot be listed .Permission denied"):
        Folder("mine", root, "free")


def labels_of(*entries, **others) -> bytes:
    return json.dumps({"labels": entries, **others}).encode()


@pytest.mark.parametrize("name", ["dataset.json", "Dataset.JSON", "pets/dataset.json", "a/pets/dataset.json"])
def test_labels_lie_at_the_top_or_in_the_folder_that_all_images_share(tmp_path, name):
    top = name[: -len("dataset.json")]
    files = {f"{top}00000/1.png": encoded(1), f"{top}00001/2.png": encoded(2)}
    files |= {name: labels_of(["00000/1.png", 1], ["00001/2.png", 0]), "docs/readme.txt": b"text"}
    source = both(tmp_path, files)
    assert (source.labels.tolist(), source.class_names) == ([1, 0], ["0", "1"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a/dataset.json", "a/1.png", "b/2.png"],
            "a/dataset.json: labels only .* outside which lie b/2.png; put it at the top",
        ),
        (["dataset.json", "a/dataset.json", "a/1.png"], "pets.*: holds a/dataset.json, dataset.json; keep the one"),
    ],
)
def test_labels_that_are_not_for_all_images_are_refused(tmp_path, names, message):
    refused(tmp_path, dict.fromkeys(names, PNG) | {names[0]: labels_of(["1.png", 0])}, message)


def test_numbered_folders_are_no_classes_where_the_file_says_so_or_is_missing(tmp_path):
    names = ["00000/1.png", "00001/2.png"]
    assert both(tmp_path / "a", {**dict.fromkeys(names, PNG), "dataset.json": b'{"labels": null}'}).labels is None
    assert both(tmp_path / "b", dict.fromkeys(names, PNG)).labels is None
