"""Images on the device, those read ahead from the host's memory, and those of a run on the CPU are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.training.placement import DeviceImages, HostImages
from leangan.training.reals import Reals
from tests.helpers.twins import CPU

TRAIN, HELD_OUT = list(range(40)), list(range(40, 56))


@pytest.fixture
def stored(tmp_path) -> np.ndarray:
    """56 random images in a file that is mapped into memory."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (56, 3, 32, 32), dtype=np.uint8))
    return np.load(tmp_path / "images.npy", mmap_mode="r")


def test_rows_taken_in_any_order(device, stored):
    index = TRAIN[::-1]
    there, here = DeviceImages(stored, index, device), HostImages(stored, index, device)
    rng = np.random.default_rng(1)
    for number in range(50):
        rows = rng.integers(0, len(index), 16)
        if number % 3:
            here.read_ahead(rows if number % 2 else rows[::-1])
        a, b = there.take(rows), here.take(rows)
        assert a.device.type == b.device.type == device.type
        assert torch.equal(a, b) and torch.equal(a.cpu(), torch.from_numpy(stored[np.asarray(index)[rows]]))


def test_memory_of_a_batch_is_not_overwritten_while_it_is_in_use(device, stored):
    """The next batch is copied beside a computation that still needs this one."""
    images = HostImages(stored, TRAIN, device)
    busy = torch.randn(512, 512, device=device)
    rows = [np.arange(start, start + 16) % len(TRAIN) for start in range(0, 320, 16)]
    images.read_ahead(rows[0])
    sums = []
    for now, then in zip(rows, [*rows[1:], rows[0]], strict=True):
        batch = images.take(now)
        images.read_ahead(then)
        for _ in range(5):
            busy = busy @ busy / 512
        sums.append((batch.long() + (busy[0, 0] * 0).long()).sum())
        del batch
    assert torch.stack(sums).tolist() == [int(stored[each].astype(np.int64).sum()) for each in rows]


@pytest.mark.parametrize("placement", ["device", "host"])
def test_batches_are_those_of_a_run_on_the_cpu(device, stored, placement):
    labels = np.arange(56) % 3
    ours, expected = (Reals(stored, labels, 3, TRAIN, HELD_OUT, True, 0, place, placement) for place in (device, CPU))
    for start in [0, 8, 16, 24, 32, 104, 8]:
        for (x, c), (all_x, all_c) in (
            (ours.batch(start, 8), expected.batch(start, 8)),
            (ours.validation_batch(start, 6), expected.validation_batch(start, 6)),
        ):
            # A GPU divides by 127.5 as it multiplies by the inverse, which may round another way: 1 / 2^23 near 1.
            assert (x.cpu() - all_x).abs().max() <= 2**-23
            assert torch.equal(c.cpu(), all_c)
        pictures = ours.first(13)[0], expected.first(13)[0]
        assert torch.equal(pictures[0].cpu(), pictures[1])
