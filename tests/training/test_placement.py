"""Images on the device and images read ahead from the file are the same images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.training import placement
from leangan.training.placement import DeviceImages, HostImages, load_onto
from leangan.training.reals import Reals

CPU = torch.device("cpu")
TRAIN, HELD_OUT = [3, 1, 4, 9, 5, 7, 18, 2, 16, 12], [0, 6, 8, 10]


@pytest.fixture
def stored(tmp_path) -> np.ndarray:
    """A memory-mapped array of 20 images; every byte of image i is i."""
    np.save(tmp_path / "images.npy", np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((3, 8, 8), np.uint8))
    return np.load(tmp_path / "images.npy", mmap_mode="r")


def test_both_placements_give_the_same_batches(stored):
    noise = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(20) % 3
    device, host = (
        Reals(noise, labels, 3, TRAIN, HELD_OUT, True, 0, CPU, placement=where) for where in ("device", "host")
    )
    assert isinstance(device.train, DeviceImages) and isinstance(host.train, HostImages)
    # In order over several passes, out of order as after a restart, and with other readers in between.
    for start in [0, 8, 16, 24, 32, 104, 112, 8]:
        for a, b in zip(device.batch(start, 8), host.batch(start, 8), strict=True):
            assert torch.equal(a, b)
        for a, b in zip(device.validation_batch(start, 6), host.validation_batch(start, 6), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(device.first(13)[0], host.first(13)[0])


@pytest.mark.parametrize("where", ["device", "host"])
def test_rows_are_those_of_the_subset_in_its_order(stored, where, monkeypatch):
    monkeypatch.setattr(placement, "PIECE_BYTES", 3 * stored[:1].nbytes)  # the last piece is a part of one
    images = load_onto(stored, TRAIN, CPU, where)
    rows = np.array([9, 0, 0, 6])
    images.read_ahead(rows)
    assert len(images) == len(TRAIN)
    assert (
        images.take(rows).tolist() == (torch.tensor([12, 3, 3, 18])[:, None, None, None] * torch.ones(3, 8, 8)).tolist()
    )


def test_images_go_to_the_device_while_they_take_their_share_of_its_memory(stored, monkeypatch):
    size = len(TRAIN) * 3 * 8 * 8
    monkeypatch.setattr(placement, "_memory", lambda device: size / placement.DEVICE_SHARE)
    assert isinstance(load_onto(stored, TRAIN, CPU), DeviceImages)
    assert isinstance(load_onto(stored, [*TRAIN, 0], CPU), HostImages)


def test_a_file_that_cannot_be_read_ends_the_run_with_its_error(stored):
    class Broken(np.ndarray):
        def take(self, *args, **kwargs):
            raise OSError("input/output error")

    images = HostImages(stored.view(Broken), TRAIN, CPU)
    with pytest.raises(OSError, match="input/output error"):
        images.take(np.array([0]))
