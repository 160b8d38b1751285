"""Which training images a step sees, and which random numbers it draws: pure functions of the position.

Nothing here has state. Image order and random streams follow from (seed, cur_nimg) alone, so a run that
is interrupted and continued draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def step_seed(*parts: int | str) -> int:
    """A 63-bit seed from the parts, independent streams for different parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def seed_step(seed: int, cur_nimg: int) -> None:
    """Seed torch's global generators (CPU and GPU) for the step that starts at `cur_nimg`."""
    torch.manual_seed(step_seed("step", seed, cur_nimg))


class EpochSampler:
    """Endless passes over `count` items, each in a fresh order that depends on (seed, pass) alone."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng(step_seed("order", self.seed, epoch)).permutation(self.count)
        return self._order

    def draw(self, start: int, batch: int) -> np.ndarray:
        """The int64 indices [batch] of the images number `start` to `start + batch` of the endless sequence."""
        positions = np.arange(start, start + batch)
        epochs, offsets = np.divmod(positions, self.count)
        return np.concatenate([self._permutation(e)[offsets[epochs == e]] for e in np.unique(epochs)])
