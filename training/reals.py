"""The images a run trains on: uint8 on its device, turned into batches there without per-image Python work."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.sampler import EpochSampler


def as_float(x: Tensor) -> Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return x.float() / 127.5 - 1


class Reals:
    """Training images and held-out ones, with labels where the run is conditional.

    images, labels: uint8 [M, C, H, W] and int64 [M] (or None) of the whole prepared data set; `train` and
    `validation` index into them. D never trains on the validation images: they serve the diagnostics of
    arXiv:2006.06676, fig. 1. mirror: each pass shows every image and its mirrored copy once.
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
    ) -> None:
        def on_device(index: list[int]) -> tuple[Tensor, Tensor | None]:
            x = torch.from_numpy(np.ascontiguousarray(images[index])).to(device)
            if labels is None:
                return x, None
            return x, F.one_hot(torch.from_numpy(labels[index]).to(device), classes).float()

        self.images, self.labels = on_device(train)
        self.validation, self.validation_labels = on_device(validation)
        self.channels, self.mirror = self.images.shape[1], mirror
        self.classes = 0 if labels is None else classes
        self.sampler = EpochSampler(len(train) * (2 if mirror else 1), seed)

    def batch(self, start: int, size: int) -> tuple[Tensor, Tensor | None]:
        """Reals number `start` to `start + size` of the endless sequence, in [-1, 1], and their one-hot labels."""
        drawn = torch.from_numpy(self.sampler.draw(start, size)).to(self.images.device)
        index = drawn % len(self.images)
        x = as_float(self.images[index])
        if self.mirror:
            x = torch.where((drawn >= len(self.images))[:, None, None, None], x.flip(3), x)
        return x, None if self.labels is None else self.labels[index]

    def random_labels(self, size: int) -> Tensor | None:
        """One-hot labels [size, classes] drawn from those of the training images, or None."""
        if self.labels is None:
            return None
        return self.labels[torch.randint(len(self.labels), (size,), device=self.labels.device)]

    def held_out(self, start: int, size: int) -> tuple[Tensor, Tensor | None]:
        """Held-out reals number `start` to `start + size`, again from the first after the last, and their labels."""
        index = torch.arange(start, start + size, device=self.validation.device) % len(self.validation)
        labels = self.validation_labels
        return as_float(self.validation[index]), None if labels is None else labels[index]
