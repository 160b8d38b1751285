"""How images reach an extractor: in batches of which size, read how, on which rank."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from leangan.metrics import extraction
from leangan.metrics.base import Features
from leangan.metrics.extraction import default_batch, extract, real_batches
from leangan.metrics.loading import LoadedExtractor, load_extractor
from tests.helpers.stand_in import META, StandIn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def proxy() -> LoadedExtractor:
    return load_extractor("efficientnet_lite0")


@pytest.mark.parametrize(
    "input_px, resolution, images",
    [(48, 32, 2048), (299, 32, 256), (299, 1024, 256), (48, 1024, 256), (None, 32, 2048), (None, 200, 572)],
)
def test_a_gpu_sees_the_more_images_at_once_the_smaller_they_are(proxy, input_px, resolution, images):
    extractor = dataclasses.replace(proxy, of=type("Other", (proxy.of,), {"input_px": input_px}))
    assert default_batch(extractor, resolution, torch.device("cuda")) == images
    assert default_batch(extractor, resolution, CPU) == 32


class Means:
    """An extractor of means, which notes how many images it gets."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, images: Tensor) -> Features:
        self.sizes.append(len(images))
        pooled = images.float().mean((1, 2, 3))[:, None]
        return Features(pooled, pooled * 2, extractor="means")


@pytest.mark.parametrize("sizes", [[8, 8, 3], [4, 6, 2], [5]])
def test_a_gpu_gets_batches_of_one_size(sizes):
    images = torch.randint(0, 256, (sum(sizes), 3, 4, 4), dtype=torch.uint8)
    here, there = Means(), Means()
    expected = extract(here, images.split(sizes), len(images), "")
    with StandIn():
        found = extract(there, [part.to(META) for part in images.split(sizes)], len(images), "")
    assert here.sizes == sizes and there.sizes == list(np.maximum.accumulate(sizes))
    assert torch.equal(found.pooled, expected.pooled) and torch.equal(found.logits, expected.logits)
    assert found.extractor == "means"


@pytest.mark.parametrize("indices", [None, [8, 0, 3, 3, 7]])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_image_is_in_one_batch_of_one_rank(monkeypatch, tmp_path, indices, world):
    """Out of a memory map, in order."""
    np.save(tmp_path / "images.npy", np.random.RandomState(0).randint(0, 256, (9, 3, 2, 2)).astype(np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    monkeypatch.setattr(extraction, "world_size", lambda: world)
    batches = []
    for rank in range(world):
        monkeypatch.setattr(extraction, "rank", lambda rank=rank: rank)
        batches.append(list(real_batches(images, indices, 2, CPU)))
    in_turn = [batches[number % world][number // world] for number in range(sum(map(len, batches)))]
    assert {len(batch) for batch in in_turn[:-1]} == {2}
    expected = images if indices is None else images[indices]
    assert np.array_equal(torch.cat(in_turn).numpy(), expected)


def test_the_next_batch_is_read_while_one_is_looked_at():
    images = np.zeros((7, 3, 2, 2), dtype=np.uint8)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        original = extraction.HostImages.read_ahead
        patch.setattr(
            extraction.HostImages,
            "read_ahead",
            lambda self, rows: (asked.append(rows.tolist()), original(self, rows))[1],
        )
        batches = real_batches(images, None, 3, CPU)
        next(batches)
        assert asked == [[0, 1, 2], [3, 4, 5]]
        assert [len(batch) for batch in batches] == [3, 1]
        assert asked == [[0, 1, 2], [3, 4, 5], [6]]
