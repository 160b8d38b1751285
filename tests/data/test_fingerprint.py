"""A source's fingerprint shows every change of its files, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from leangan.core.errors import Reported
from leangan.core.project import ROOT
from leangan.data.contracts import open_dataset
from leangan.data.fingerprint import fingerprint
from leangan.data.prepare import main

THEN = 1_700_000_000_000_000_000  # ns


@pytest.fixture
def folder(tmp_path):
    """Images at three depths, all of the same time."""
    root = tmp_path / "images"
    for name in ("b.png", "a.png", "cats/tabby/0.png", "cats/1.png", "dogs/0.png"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(file)
    for file in root.rglob("*"):
        os.utime(file, ns=(THEN, THEN))
    return root


def overwrite(file):
    """As many other bytes, one nanosecond later."""
    file.write_bytes(bytes(reversed(file.read_bytes())))
    os.utime(file, ns=(THEN, THEN + 1))


@pytest.mark.parametrize("name", ["a.png", "cats/1.png", "cats/tabby/0.png"])
@pytest.mark.parametrize(
    "change",
    [
        lambda file: (file.parent / "new.png").write_bytes(b"1"),
        lambda file: file.unlink(),
        overwrite,
        lambda file: file.write_bytes(file.read_bytes() + b"1") and os.utime(file, ns=(THEN, THEN)),
        lambda file: os.utime(file, ns=(THEN, THEN + 1)),
        lambda file: file.rename(file.with_name("z.png")),
        lambda file: file.rename(file.with_name(".png")),
    ],
    ids=["added", "removed", "overwritten", "grown", "touched", "renamed", "hidden"],
)
def test_a_change_of_any_file_shows(folder, name, change):
    before = fingerprint(folder)
    assert fingerprint(folder) == before and len(before) == 64
    change(folder / name)
    assert fingerprint(folder) != before


def test_an_image_in_another_class_shows(folder):
    before = fingerprint(folder)
    (folder / "cats/1.png").rename(folder / "dogs/1.png")
    assert fingerprint(folder) != before


def test_what_is_no_part_of_the_set_does_not_show(folder):
    before = fingerprint(folder)
    (folder / ".DS_Store").write_bytes(b"1")
    (folder / "cats/.thumbnails").mkdir()
    (folder / "cats/.thumbnails/0.png").write_bytes(b"1")
    (folder / "lock.mdb").write_bytes(b"1")
    (folder / "cats/Thumbs.db").write_bytes(b"1")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/0.png").write_bytes(b"1")
    os.mkfifo(folder / "pipe")
    assert fingerprint(folder) == before


def test_a_link_counts_as_the_file_it_leads_to(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere.png"
    (folder / "a.png").rename(elsewhere)
    (folder / "a.png").symlink_to(elsewhere)
    before = fingerprint(folder)
    overwrite(elsewhere)
    assert fingerprint(folder) != before
    (tmp_path / "link").symlink_to(folder)
    assert fingerprint(tmp_path / "link") == fingerprint(folder)


def test_a_change_behind_a_link_to_a_folder_shows(folder, tmp_path):
    (folder / "cats").rename(tmp_path / "elsewhere")
    before = fingerprint(folder)
    (folder / "cats").symlink_to(tmp_path / "elsewhere")
    linked = fingerprint(folder)
    assert linked != before
    overwrite(tmp_path / "elsewhere/tabby/0.png")
    assert fingerprint(folder) != linked


def test_a_link_that_cannot_be_followed_shows_and_ends(folder):
    found = {fingerprint(folder)}
    (folder / "loop").symlink_to(folder)
    found.add(fingerprint(folder))
    (folder / "gone.png").symlink_to(folder / "nowhere")
    found.add(fingerprint(folder))
    (folder / "circle").symlink_to(folder / "circle")
    found.add(fingerprint(folder))
    assert len(found) == 4


def test_neither_the_order_of_the_file_system_nor_the_place_matters(folder, tmp_path, monkeypatch):
    before = fingerprint(folder)
    scandir = os.scandir

    class Reversed:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            with scandir(self.path) as entries:
                return iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("leangan.data.fingerprint.os.scandir", Reversed)
    assert fingerprint(folder) == before
    folder.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == before


def test_a_file_of_its_own(folder, tmp_path):
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.write(folder / "a.png", "a.png")
    os.utime(archive, ns=(THEN, THEN))
    before = fingerprint(archive)
    archive.rename(tmp_path / "pictures.zip")
    assert fingerprint(tmp_path / "pictures.zip") == before
    overwrite(tmp_path / "pictures.zip")
    assert fingerprint(tmp_path / "pictures.zip") != before


def test_a_missing_place_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fingerprint(tmp_path / "nowhere")


ACCESSES = """
import sys
from pathlib import Path
from leangan.data.fingerprint import fingerprint

folder, listed, opened = sys.argv[1], [], []

def note(event, arguments):
    if event in ("os.scandir", "os.listdir", "open") and str(arguments[0]).startswith(folder):
        (opened if event == "open" else listed).append(arguments[0])

sys.addaudithook(note)
fingerprint(Path(folder))
assert not {"numpy", "torch", "PIL"} & set(sys.modules)
print(len(listed), len(opened))
"""


def test_a_large_folder_is_quick(tmp_path):
    """Each folder is listed once, no image is opened, and nothing heavy is imported."""
    for group in range(4):
        (tmp_path / str(group)).mkdir()
        for i in range(10):
            (tmp_path / str(group) / f"{i}.png").touch()
    command = [sys.executable, "-c", ACCESSES, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split() == ["5", "0"]


def test_metadata_keeps_the_fingerprint_it_was_prepared_with(folder, tmp_path):
    for file in [*folder.iterdir()]:
        if file.is_file():
            file.unlink()
    out = tmp_path / "mine.npy"
    command = ["--dataset", "mine", "--path", str(folder), "--out", str(out)]
    main([*command, "--fingerprint", fingerprint(folder)])
    assert open_dataset(out).meta["fingerprint"] == fingerprint(folder)
    main([*command, "--fingerprint", ""])
    meta = json.loads(out.with_suffix(".json").read_text())
    assert meta.pop("fingerprint") is None
    out.with_suffix(".json").write_text(json.dumps(meta))
    assert open_dataset(out).meta["count"] == 3  # prepared before there were fingerprints
    with pytest.raises(Reported, match="fingerprint 'new': must be the 64 hex digits .*--fingerprint"):
        main([*command, "--fingerprint", "new"])
