"""Nearest neighbours and copies in feature space, for the metrics of memorisation and their picture."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1024
"""Images of which the distances to all others are held at once."""

SAME = 1e-3
"""Features that differ by less than this share of their length are those of one image. Distances from float32 products
do not tell them apart, and the two most alike of 2,624 photographs of solar cells differ by fifty times as much.
"""


def originals(x: Tensor) -> Tensor:
    """For each of x [N, D] the number of the first one that it is a copy of, its own where there is none; int64 [N].

    In the order of their means copies stand side by side, so that N comparisons find them.
    """
    order = torch.cat([chunk.double().mean(1) for chunk in x.split(CHUNK)]).argsort(stable=True)
    new = [torch.ones(1, dtype=torch.bool, device=x.device)]
    for left, right in zip(order[:-1].split(CHUNK), order[1:].split(CHUNK), strict=True):
        new.append((x[right] - x[left]).norm(dim=1) > SAME * x[right].norm(dim=1))
    group = torch.empty_like(order).scatter_(0, order, torch.cat(new).cumsum(0) - 1)
    numbers = torch.arange(len(x), device=x.device)
    first = torch.full_like(numbers, len(x)).scatter_reduce_(0, group, numbers, "amin")
    return first[group]


def nearest(x: Tensor, to: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(distance [N], index [N]) of the nearest of `to` [M, D] for each of x [N, D], never number `own` [N]."""
    distances, indices = [], []
    for start in range(0, len(x), CHUNK):
        chunk = torch.cdist(x[start : start + CHUNK], to)
        if own is not None:
            chunk.scatter_(1, own[start : start + CHUNK, None], torch.inf)
        distance, index = chunk.min(1)
        distances.append(distance)
        indices.append(index)
    return torch.cat(distances), torch.cat(indices)
