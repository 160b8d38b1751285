"""Preparation by several processes, interrupted and continued: always the same bytes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from leangan.core.errors import ConfigError, Reported
from leangan.core.project import ROOT
from leangan.data import prepare as module
from leangan.data.contracts import DatasetError, open_dataset
from leangan.data.partial import Partial
from leangan.data.prepare import main, prepare
from leangan.data.readers.archive import Archive
from leangan.data.readers.folder import Folder
from leangan.data.workers import ordered


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for i in range(30):
        pixels = np.random.RandomState(i).randint(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i:02d}.png")
    return root


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 4 * 192)


class Interrupted(Folder):
    """Raises `error` at image `at`, and remembers what was read."""

    interruption: BaseException | None = None
    at_image = 22

    def image(self, index):
        self.read = [*getattr(self, "read", []), index]
        if index == self.at_image and self.interruption is not None:
            raise self.interruption
        return super().image(index)


def source(folder, interruption=None):
    made = Interrupted("mine", folder, "free")
    made.interruption = interruption
    return made


@pytest.fixture
def whole(folder, tmp_path):
    """The array and the metadata made at one go by one process."""
    prepare(source(folder), tmp_path / "whole.npy")
    return [(tmp_path / f"whole.{kind}").read_bytes() for kind in ("npy", "json")]


def pixels(i):
    return np.random.RandomState(i).randint(0, 255, (8, 8, 3)).astype(np.uint8).transpose(2, 0, 1)


def made(path):
    return [path.read_bytes(), path.with_suffix(".json").read_bytes()]


def hidden(path):
    return sorted(file.name for file in path.iterdir() if file.name.startswith("."))


def interrupt(folder, out, error=KeyboardInterrupt):
    with pytest.raises(error):
        prepare(source(folder, error()), out)
    assert not out.exists()


def test_any_number_of_jobs_makes_the_same_bytes(folder, whole, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    prepare(Archive("mine", tmp_path / "images.zip", "free"), tmp_path / "out.npy", jobs=2)
    assert made(tmp_path / "out.npy")[0] == whole[0]
    monkeypatch.setattr(module, "PIECE_BYTES", 2 * 192)
    prepare(Folder("mine", folder, "free"), tmp_path / "out.npy", jobs=3)
    assert made(tmp_path / "out.npy") == whole


def test_a_small_set_starts_no_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 2**20)
    here = source(folder)
    prepare(here, tmp_path / "mine.npy", jobs=8)
    assert here.read == [0, *range(30)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_costs_its_own_piece_only(folder, whole, tmp_path, error):
    out = tmp_path / "out" / "mine.npy"
    interrupt(folder, out, error)
    again = source(folder)
    prepare(again, out)
    assert again.read[0] == 0  # its size
    assert again.read[1:] == list(range(20, 30))
    assert made(out) == whole
    assert hidden(out.parent) == []


def test_a_disk_that_fills_up_can_be_emptied_and_work_goes_on(folder, whole, tmp_path):
    out, limits = tmp_path / "mine.npy", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (128 + 18 * 192, limits[1]))  # room for 18 images
    try:
        with pytest.raises(OSError, match="File too large"):
            prepare(source(folder), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    again = source(folder)
    prepare(again, out)
    assert again.read[1:] == list(range(16, 30))
    assert made(out) == whole
    assert hidden(tmp_path) == []


def test_damage_to_what_was_done_does_not_last(folder, whole, tmp_path):
    out = tmp_path / "mine.npy"
    interrupt(folder, out)
    partial = tmp_path / ".mine.npy.partial"
    content = bytearray(partial.read_bytes())
    content[128 + 4 * 192 + 7] ^= 1  # in the second piece
    partial.write_bytes(content)
    journal = tmp_path / ".mine.npy.journal"
    journal.write_bytes(journal.read_bytes()[:-10])
    again = source(folder)
    prepare(again, out)
    assert again.read[1:] == list(range(4, 30))
    assert made(out) == whole


@pytest.mark.parametrize("lost", ["partial", "journal"])
def test_a_lost_file_means_starting_over(folder, whole, tmp_path, lost):
    out = tmp_path / "mine.npy"
    interrupt(folder, out)
    (tmp_path / f".mine.npy.{lost}").unlink()
    prepare(source(folder), out)
    assert made(out) == whole
    assert hidden(tmp_path) == []


def test_a_changed_image_is_decoded_anew_and_no_other(folder, tmp_path):
    out = tmp_path / "mine.npy"
    interrupt(folder, out)
    Image.new("RGB", (8, 8)).save(folder / "03.png")
    again = source(folder)
    prepare(again, out)
    assert again.read[1:] == [3, *range(20, 30)]
    images = open_dataset(out).images
    assert images[3].max() == 0
    assert all(np.array_equal(images[i], pixels(i)) for i in range(30) if i != 3)
    assert hidden(tmp_path) == []


def test_images_that_are_added_removed_and_renamed_shift_the_others(folder, tmp_path):
    out = tmp_path / "mine.npy"
    interrupt(folder, out)
    (folder / "05.png").unlink()
    (folder / "25.png").unlink()
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(folder / "00a.png")
    again = source(folder)
    assert prepare(again, out)["count"] == 29
    order = [0, None, *range(1, 5), *range(6, 25), *range(26, 30)]
    assert again.read[1:] == [1, *range(order.index(20), 29)]
    for image, i in zip(open_dataset(out).images, order, strict=True):
        assert np.array_equal(image, np.full((3, 8, 8), 7) if i is None else pixels(i))


def test_another_argument_starts_over_and_says_so(folder, tmp_path, caplog):
    out = tmp_path / "mine.npy"
    interrupt(folder, out)
    prepare(source(folder), out, resolution=4)
    assert "mine.npy: was begun with other arguments; starts over" in caplog.text
    assert open_dataset(out).images.shape == (30, 3, 4, 4)


def test_a_second_change_loses_nothing_of_what_was_kept_before_the_first(folder, tmp_path):
    """Rows are appended and never moved until the whole set is there, whatever happens in between."""
    out = tmp_path / "mine.npy"
    (folder / "09.png").write_bytes(b"no image")
    with pytest.raises(DatasetError):
        prepare(source(folder), out)
    Image.new("RGB", (8, 8)).save(folder / "02.png")
    Image.new("RGB", (8, 8)).save(folder / "22.png")
    interrupt(folder, out)
    (folder / "09.png").unlink()
    again = source(folder)
    prepare(again, out)
    assert again.read[1:] == [2, 21]  # 22.png is image 21 now
    assert len(open_dataset(out).images) == 29


REMEDY = "when those named are mended or left out, the same command decodes only what has changed"


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_broken_images_are_named_at_once_and_only_they_are_decoded_again(folder, whole, tmp_path, jobs):
    out, good = tmp_path / "out" / "mine.npy", {i: (folder / f"{i:02d}.png").read_bytes() for i in (9, 25)}
    for i in good:
        (folder / f"{i:02d}.png").write_bytes(b"no image")
    Image.new("RGB", (8, 9)).save(folder / "99.png")
    with pytest.raises(DatasetError) as error:
        prepare(source(folder), out, jobs=jobs)
    said = str(error.value).splitlines()
    assert said == [
        f"mine: 3 of 31 images cannot be prepared; {REMEDY}",
        f"{folder}/09.png: not a readable image (no format that is read)",
        f"{folder}/25.png: not a readable image (no format that is read)",
        "-> save it anew or leave it out",
        f"{folder}/99.png: 8 x 9 is not square",
        "-> crop: true (--crop) takes the central square",
    ]
    assert not out.exists()
    unmended = source(folder)
    with pytest.raises(DatasetError) as same:
        prepare(unmended, out)
    assert (str(same.value), unmended.read[1:]) == (str(error.value), [9, 25, 30])
    for i, content in good.items():
        (folder / f"{i:02d}.png").write_bytes(content)
    (folder / "99.png").unlink()
    again = source(folder)
    prepare(again, out)
    assert again.read[1:] == [9, 25]
    assert made(out) == whole
    assert hidden(out.parent) == []


def test_a_zip_that_is_replaced_by_one_without_the_broken_image_keeps_the_others(folder, tmp_path):
    def zipped(without: str) -> Archive:
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for file in folder.iterdir():
                if file.name != without:
                    archive.write(file, file.name)
        return Archive("mine", tmp_path / "images.zip", "free")

    (folder / "09.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="09.png: not a readable image"):
        prepare(zipped(without=""), tmp_path / "mine.npy")
    again, read = zipped(without="09.png"), []
    again.image = lambda index: read.append(index) or Archive.image(again, index)
    prepare(again, tmp_path / "mine.npy")
    assert read == [0]  # its size
    images = open_dataset(tmp_path / "mine.npy").images
    for image, i in zip(images, [i for i in range(30) if i != 9], strict=True):
        assert np.array_equal(image, pixels(i))


def test_a_set_of_which_most_is_broken_is_given_up_early(folder, tmp_path):
    for i in range(3, 30):
        Image.new("RGB", (8, 9 + i)).save(folder / f"{i:02d}.png")
    here = source(folder)
    with pytest.raises(DatasetError) as error:
        prepare(here, tmp_path / "mine.npy", resolution=8)
    assert len(here.read) == 24  # pieces of 4 until more than 20 are broken
    said = str(error.value).splitlines()
    assert said[0].startswith("mine: 21 of 30 images cannot be prepared (of the first 24 that were tried)")
    assert said[1] == f"{folder}/03.png: 8 x 12 is not square" and len(said) == 1 + 20 + 2
    assert said[-2:] == ["and 1 more", "-> crop: true (--crop) takes the central square"]


def test_the_command_lists_them_and_ends_with_one_line(folder, tmp_path, capsys):
    for i in (9, 25):
        (folder / f"{i:02d}.png").write_bytes(b"no image")
    with pytest.raises(Reported, match=r"^mine: 2 of 30 images cannot be prepared; [^\n]*$"):
        main(["--dataset", "mine", "--path", str(folder), "--jobs", "1", "--out", str(tmp_path / "x.npy")])
    lines = capsys.readouterr().err.splitlines()[-3:]
    assert [line.split(": ")[0] for line in lines] == [
        f"{folder}/09.png",
        f"{folder}/25.png",
        "-> save it anew or leave it out",
    ]


def test_one_process_at_a_time(tmp_path):
    with Partial(tmp_path / "a.npy", "work", 0, 4), pytest.raises(ConfigError, match="a.npy: another process"):
        Partial(tmp_path / "a.npy", "work", 0, 4).__enter__()


def test_a_full_disk_is_known_before_the_work(folder, tmp_path, monkeypatch):
    free = SimpleNamespace(free=30 * 192 - 1)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: free)
    with pytest.raises(ConfigError, match="mine.npy: needs 0.0 GB more, .*make room"):
        prepare(source(folder), tmp_path / "mine.npy")
    free.free += 1
    assert prepare(source(folder), tmp_path / "mine.npy")["count"] == 30


def test_metadata_half_written_by_a_killed_process_is_cleaned_up(folder, whole, tmp_path):
    (tmp_path / ".mine.json.x7qk2w").write_text("{")
    prepare(source(folder), tmp_path / "mine.npy")
    assert made(tmp_path / "mine.npy") == whole
    assert hidden(tmp_path) == []


def test_no_description_outlives_an_array_that_is_taken_back(folder, tmp_path, monkeypatch):
    """Killed when both are written and the journal is not removed, then ended by a new image that is broken."""
    out, calls = tmp_path / "mine.npy", []

    def killed(partial):
        calls.append(partial)
        if len(calls) > 1:  # the first one begins the work
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Partial, "discard", killed)
        prepare(source(folder), out)
    assert out.exists() and out.with_suffix(".json").exists()
    (folder / "99.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"99\.png"):
        prepare(source(folder), out)
    assert not out.exists() and not out.with_suffix(".json").exists()


KILLED = """
import os, signal, sys, time
from multiprocessing import parent_process
from pathlib import Path
from leangan.data import prepare
from leangan.data.readers.folder import Folder

class Killing(Folder):
    def image(self, index):
        (Path(sys.argv[3]) / str(os.getpid())).touch()
        if index == 22:
            os.kill(parent_process().pid if parent_process() else os.getpid(), int(sys.argv[4]))
        return super().image(index)

prepare.PIECE_BYTES = 4 * 192
if __name__ == "__main__":
    prepare.prepare(Killing("mine", Path(sys.argv[1]), "free"), Path(sys.argv[2]), jobs=2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_work_it_leaves_no_process_and_continues(folder, whole, tmp_path, how):
    out = tmp_path / "out" / "mine.npy"
    (tmp_path / "pids").mkdir()
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "killed.py", folder, out, tmp_path / "pids", str(int(how))]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60)
    assert ended.returncode == -how
    workers = [int(file.name) for file in (tmp_path / "pids").iterdir()]
    assert len(workers) >= 2
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = source(folder)
    prepare(again, out)
    assert min(again.read[1:]) >= 4
    assert made(out) == whole
    assert hidden(out.parent) == []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def touch(item):
    Path(item).touch()
    return item


def die(item):
    os._exit(1)


def test_few_results_exist_ahead_of_the_one_in_use(tmp_path):
    items = [str(tmp_path / f"{i:02d}") for i in range(20)]
    results = ordered(touch, items, jobs=2)
    assert next(results) == items[0]
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 5
    assert list(results) == items[1:]


def test_a_job_that_dies_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ordered", lambda function, items, jobs: ordered(die, items, jobs))
    with pytest.raises(Reported, match="a job was killed, .*the same command continues[^\n]*$"):
        main(["--dataset", "mine", "--path", str(folder), "--jobs", "2", "--out", str(tmp_path / "x.npy")])
