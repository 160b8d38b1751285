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


DIRECTIONS = 4
"""Along which the features of copies are looked for: of pairs close along all of them, nearly all are copies."""


def originals(x: Tensor) -> Tensor:
    """For each of x [N, D] the number of the first one that it is a copy of, its own where there is none; int64 [N].

    Copies of a copy count as copies. No distance along a direction is larger than the distance itself, so copies lie
    within the tolerance of each other in the order along the first direction: no other pairs are compared.
    """
    places = along(x)
    order = places[:, 0].argsort(stable=True)
    places = places[order]
    tolerance = SAME * torch.cat([chunk.double().norm(dim=1) for chunk in x.split(CHUNK)])[order]
    found = torch.arange(len(x), device=x.device)  # for each, in that order, one before it that it is a copy of
    waiting, step = found, 0
    while len(waiting):
        step += 1
        waiting = waiting[waiting >= step]
        waiting = waiting[places[waiting, 0] - places[waiting - step, 0] <= tolerance[waiting]]
        close = waiting[(places[waiting] - places[waiting - step]).norm(dim=1) <= tolerance[waiting]]
        for chunk in close.split(CHUNK):
            distance = (x[order[chunk]] - x[order[chunk - step]]).norm(dim=1)
            copies = chunk[distance <= tolerance[chunk]]
            found[copies] = copies - step
        waiting = waiting[found[waiting] == waiting]
    while not torch.equal(found, found[found]):
        found = found[found]
    group = torch.empty_like(order).scatter_(0, order, found)
    numbers = torch.arange(len(x), device=x.device)
    first = torch.full_like(numbers, len(x)).scatter_reduce_(0, group, numbers, "amin")
    return first[group]


def along(x: Tensor) -> Tensor:
    """Coordinates of x [N, D] along a few orthogonal directions of large variance, float64 [N, DIRECTIONS].

    Nearly the principal components, found by subspace iteration on some of x.
    """
    some = x[:: len(x) // CHUNK + 1].double()
    some = some - some.mean(0)
    start = torch.randn(x.shape[1], min(DIRECTIONS, x.shape[1]), generator=torch.Generator().manual_seed(0))
    directions = torch.linalg.qr(start.to(some)).Q
    for _ in range(4):
        directions = torch.linalg.qr(some.T @ (some @ directions)).Q
    return torch.cat([chunk.double() @ directions for chunk in x.split(CHUNK)])


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
