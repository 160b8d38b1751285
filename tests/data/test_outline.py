"""What is known of a set before it is prepared, and what a path that leads to no set is answered with."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.known_sets import known_sets
from leangan.data.open_source import open_source
from leangan.data.outline import Outline, check_source, described, outline, why_unconditional
from leangan.data.prepare import prepare

WHERE = "config/config.yaml"


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    return path


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """A folder of its own with `pets`, three cats and two dogs, and `flat`, three images."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "pets/cats/0",
        "pets/cats/1",
        "pets/cats/2",
        "pets/dogs/0",
        "pets/dogs/1",
        *(f"flat/{i}" for i in "012"),
    ):
        image(tmp_path / f"{name}.png")
    return tmp_path


def fault(path, resolution=8, name="mine") -> str:
    with pytest.raises(DatasetError) as error:
        check_source(name, resolution, str(path), WHERE)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_set_of_ones_own_is_counted_without_decoding(project):
    (project / "flat/0.png").write_bytes(b"no image")
    assert outline("flat", 8, "flat") == Outline(3, 0)
    assert outline("pets", 8, str(project / "pets")) == Outline(5, 2)


def test_of_a_known_set_its_row_is_taken():
    assert outline("elpv", 32) == Outline(2624, 2) and outline("ffhq", 256, "/nowhere") == Outline(70000, 0)
    assert outline("lsun-cat-full", 256).count is known_sets()["lsun-cat-full"].count is None


def test_of_what_cannot_be_opened_nothing_is_known():
    assert outline("nobody", 8) == outline("gone", 8, "gone") == outline("none", 8, WHERE) == Outline()


def prepared(project: Path, count: int, mark: str | None) -> None:
    """A description of another array than the folder gives now."""
    (project / "resources/data").mkdir(parents=True, exist_ok=True)
    meta = {"count": count, "labels": [0, 1] * (count // 2), "fingerprint": mark}
    (project / "resources/data/described-8.json").write_text(json.dumps(meta))
    (project / "resources/data/described-8.npy").touch()


def test_the_description_of_the_prepared_array_holds_where_the_source_is_gone_and_not_where_it_has_changed(project):
    prepared(project, 40, "a" * 64)
    assert outline("described", 8, "gone") == Outline(40, 2)
    assert outline("described", 8, "flat") == Outline(3, 0)
    check_source("described", 8, "gone", WHERE)
    check_source("described", None, "gone", WHERE)
    assert "no file or folder gone" in fault("gone", 16, "described")


def test_a_damaged_description_is_no_description(project):
    prepared(project, 40, "a" * 64)
    (project / "resources/data/described-8.json").write_text('{"count"')
    assert outline("described", 8, "flat/") == Outline(3, 0)


def test_before_and_after_preparation_the_same_is_known(project):
    for name in ("pets", "flat"):
        meta = prepare(open_source(name, name), project / f"{name}.npy", 8)
        assert described(meta) == outline(name, 8, name)


def test_classes_need_two():
    assert why_unconditional("pets", Outline(5, 2)) is None and why_unconditional("x", Outline()) is None
    assert why_unconditional("flat", Outline(3, 0)) == "it is conditional, and the images of flat have no labels"
    assert why_unconditional("cats", Outline(3, 1)) == "it is conditional, and the images of cats are all of one class"


def test_classes_without_images_are_not_counted():
    assert described({"count": 3, "labels": [2, 2, 2], "classes": 3}) == Outline(3, 1)


def test_a_missing_path_offers_the_nearest_name_of_its_folder(project):
    assert fault("pest") == (
        f"mine: no file or folder pest: {project} has no 'pest'. Did you mean 'pets'?"
        f" Change datasets.mine.path in {WHERE}."
    )
    assert f"{project} has no 'pest'. Did you mean 'pets'?" in fault(project / "pest" / "cats")
    assert f"{project}/pets has no 'dogz'. Did you mean 'dogs'?" in fault("pets/dogz/")
    assert "Did you mean" not in fault("/qqqqqqq")
    assert f"{project}/flat/0.png is a file." in fault("flat/0.png/x")


def test_a_path_that_holds_no_set_is_named_with_what_it_is(project):
    (project / "empty").mkdir()
    (project / "empty.zip").touch()
    os.mkfifo(project / "pipe")
    assert (
        f"flat/0.png is a single image; a set is a folder or a ZIP of images. Change datasets.mine.path in {WHERE}."
        in (fault("flat/0.png"))
    )
    image(project / "named.png").rename(project / "named.dat")
    assert "named.dat is a single image" in fault("named.dat")
    assert "empty.zip is an empty file." in fault("empty.zip")
    assert "empty: " in fault("empty")
    assert "pipe is neither a file nor a folder" in fault("pipe")
    (project / "damaged.zip").write_bytes(b"PK\3\4 and no more")
    assert "damaged.zip" in fault("damaged.zip")


def test_what_cannot_be_read_is_named(project, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "flat")

    monkeypatch.setattr("leangan.data.outline.open_source", refuse)
    assert fault("flat") == (f"mine: flat cannot be read (Permission denied). Change datasets.mine.path in {WHERE}.")


def test_sets_that_can_be_read_pass(project):
    with zipfile.ZipFile(project / "pets.zip", "w") as archive:
        archive.write(project / "flat/0.png", "0.png")
    for path in ("flat", "flat/", project / "pets", "pets.zip"):
        check_source("mine", 8, str(path), WHERE)


def test_a_known_set_is_only_looked_for(project):
    check_source("ffhq", None, "flat", WHERE)
    assert "no file or folder fla: " in fault("fla", None, "ffhq")
    assert "elpv: comes with the installation and takes no path" in fault("flat", None, "elpv")
