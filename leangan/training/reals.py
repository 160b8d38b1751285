"""The images a run trains on, turned into batches on its device without per-image Python work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.pixels import as_float
from leangan.core.ranks import rank, world_size
from leangan.training.placement import Placement, load_onto, upload
from leangan.training.sampler import EpochSampler


class Reals:
    """Training images and held-out ones, with labels where the run is conditional.

    images, labels: uint8 [M, C, H, W] and int64 [M] (or None) of the whole prepared data set; `train` and
    `validation` index into them. D never trains on the validation images: they serve the diagnostics of
    arXiv:2006.06676, fig. 1. mirror: each pass shows every image and its mirrored copy once. placement: see
    `training.placement`; the batches are the same either way. class_names: what the classes are called.

    A batch of `size` images is the whole one; a rank gets its rows of it, see `core.distributed`.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None,
        classes: int,
        train: list[int],
        validation: list[int],
        mirror: bool,
        seed: int,
        device: torch.device,
        placement: Placement = "auto",
        class_names: Sequence[str] = (),
    ) -> None:
        self.train, self.validation = (load_onto(images, index, device, placement) for index in (train, validation))
        self.labels = self.validation_labels = None
        if labels is not None:
            self.labels, self.validation_labels = (
                torch.from_numpy(labels[index]).to(device) for index in (train, validation)
            )
        self.channels, self.mirror, self.device = self.train.channels, mirror, device
        self.classes, self.class_names = (0, ()) if labels is None else (classes, class_names)
        self.sampler = EpochSampler(len(train) * (2 if mirror else 1), seed)

    def batch(self, start: int, size: int) -> tuple[Tensor, Tensor | None]:
        """Reals number `start` to `start + size` of the endless sequence, in [-1, 1], and their one-hot labels."""
        count = len(self.train)
        drawn = self._drawn(start, size)
        rows = drawn % count
        x = as_float(self.train.take(rows))
        self.train.read_ahead(self._drawn(start + size, size) % count)
        if self.mirror:
            mirrored = upload(drawn >= count, self.device)
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        return x, self._one_hot(self.labels, rows)

    def random_labels(self, size: int) -> Tensor | None:
        """One-hot labels [size, classes] drawn from those of the training images, or None."""
        if self.labels is None:
            return None
        return self._one_hot(self.labels, torch.randint(len(self.labels), (size,), device=self.device))

    def first(self, size: int) -> tuple[Tensor, Tensor | None]:
        """The first `size` training images, from the first again after the last, as uint8, and their labels."""
        index = np.arange(size) % len(self.train)
        return self.train.take(index), self._one_hot(self.labels, index)

    def validation_batch(self, start: int, size: int) -> tuple[Tensor, Tensor | None]:
        """Held-out reals number `start` to `start + size`, again from the first after the last, and their labels."""
        index = np.arange(start, start + size)[rank() :: world_size()] % len(self.validation)
        return as_float(self.validation.take(index)), self._one_hot(self.validation_labels, index)

    def _drawn(self, start: int, size: int) -> np.ndarray:
        return self.sampler.draw(start, size)[rank() :: world_size()]

    def _one_hot(self, labels: Tensor | None, index: np.ndarray | Tensor) -> Tensor | None:
        if labels is None:
            return None
        if isinstance(index, np.ndarray):
            index = upload(index, self.device)
        return F.one_hot(labels[index], self.classes).float()
