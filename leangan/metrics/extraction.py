"""From images to features on the device: batches of reals and fakes, and what the ranks found of each, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

from leangan.core.distributed import on_any_rank
from leangan.core.ranks import rank, world_size
from leangan.metrics.base import Features
from leangan.metrics.fakes import Fakes, NotFinite
from leangan.metrics.loading import LoadedExtractor
from leangan.training.placement import HostImages

GPU_PIXELS = 256 * 299**2
"""What keeps a GPU busy in one call of a network, in about 4 GB."""

GPU_BATCHES = 256, 2048
"""Fewest and most images at once on a GPU."""


def default_batch(extractor: LoadedExtractor, resolution: int, device: torch.device) -> int:
    """Images of `resolution` pixels that the extractor sees at once: the more, the smaller they are to it."""
    if device.type == "cpu":
        return 32
    fewest, most = GPU_BATCHES
    side = max(extractor.of.input_px or 0, resolution)
    return min(max(GPU_PIXELS // side**2, fewest), most)


def extract(extractor: LoadedExtractor, batches: Iterable[Tensor], count: int, title: str) -> Features | None:
    """Features, on the CPU, of about `count` images that come in uint8 batches [n, 3, H, W]; None where none come."""
    pooled, logits = [], []
    with tqdm(total=count, desc=title, unit="img", mininterval=1, disable=rank() > 0) as progress:
        size = 0
        for images in batches:
            own = len(images)
            size = max(size, own)
            features = extractor(images if images.device.type == "cpu" else filled(images, size))
            pooled.append(features.pooled[:own].float())
            if features.logits is not None:
                logits.append(features.logits[:own].float())
            progress.update(own)
    if not pooled:
        return None
    return Features(on_cpu(pooled), on_cpu(logits) if logits else None, extractor=features.extractor)


def filled(images: Tensor, size: int) -> Tensor:
    """The images and as many empty ones as there are to `size`.

    cuDNN times its algorithms again for each number of images, which takes longer than to look at a few empty ones.
    """
    return (
        images if len(images) == size else torch.cat([images, images.new_zeros(size - len(images), *images.shape[1:])])
    )


def on_cpu(parts: list[Tensor]) -> Tensor:
    """The parts [n, D] as one tensor on the CPU; a GPU never holds them twice."""
    return torch.cat([part.cpu() for part in parts])


def real_batches(images: np.ndarray, indices: list[int] | None, batch: int, device: torch.device) -> Iterator[Tensor]:
    """This rank's batches of the images at `indices` (None: all), uint8, from the memory map, each read ahead."""
    reals = HostImages(images, list(range(len(images))) if indices is None else indices, device)
    starts = range(rank() * batch, len(reals), world_size() * batch)
    rows = [np.arange(start, min(start + batch, len(reals))) for start in starts]
    for own, following in itertools.zip_longest(rows, rows[1:]):
        taken = reals.take(own)
        if following is not None:
            reals.read_ahead(following)
        yield taken


def rebatch(blocks: Iterable[Tensor], batch: int) -> Iterator[Tensor]:
    """The same images in order, at least `batch` at once except for the last."""
    waiting: list[Tensor] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= batch:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)


def gather(own: Tensor, count: int, block: int) -> Tensor:
    """On rank 0 the rows of all ranks, [count, D], where rank r of W has those of the blocks r, r + W, ..."""
    if world_size() == 1:
        return own
    if rank() > 0:
        dist.send(own, 0)
        return own
    owner = torch.arange(count) // block % world_size()
    whole = own.new_empty(count, own.shape[1])
    whole[owner == 0] = own
    for other in owner.unique().tolist()[1:]:
        part = own.new_empty(int((owner == other).sum()), own.shape[1])
        dist.recv(part, other)
        whole[owner == other] = part
    return whole


def gather_features(own: Features | None, count: int, block: int) -> Features | None:
    """On rank 0 the features of all `count` images; on another its own, None where it had no images."""
    if own is None:
        return None
    logits = None if own.logits is None else gather(own.logits, count, block)
    return replace(own, pooled=gather(own.pooled, count, block), logits=logits)


def real_features(
    extractor: LoadedExtractor,
    images: np.ndarray,
    indices: list[int] | None,
    batch: int,
    device: torch.device,
    title: str,
) -> Features | None:
    """On rank 0 the features of the images at `indices` (None: all) of a memory map."""
    count = len(images) if indices is None else len(indices)
    own = extract(extractor, real_batches(images, indices, batch, device), count // world_size(), title)
    return gather_features(own, count, batch)


def fake_features(extractor: LoadedExtractor, fakes: Fakes, batch: int, title: str) -> Features | None:
    """On rank 0 the features of all fakes; None where one is not finite."""
    blocks = rebatch(fakes.blocks(rank(), world_size()), batch)
    own, finite = None, True
    try:
        own = extract(extractor, blocks, len(fakes) // world_size(), title)
    except NotFinite:
        finite = False
    if on_any_rank(not finite)[0]:
        return None
    return gather_features(own, len(fakes), fakes.block)
