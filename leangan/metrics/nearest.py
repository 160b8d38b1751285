"""Nearest neighbours in feature space, for the metrics of memorisation and their picture."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1024
"""Images of which the distances to all others are held at once."""


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
