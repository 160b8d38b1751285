"""Some images of another source as a source of its own: those of one class, or the first ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from leangan.data.contracts import Source


class Selection(Source):
    """The images `indices` of `source`, in that order, with their labels unless `labelled` is False."""

    def __init__(self, source: Source, indices: Sequence[int], labelled: bool = True):
        self.source = source
        self.indices = indices
        self.name, self.licence, self.origin = source.name, source.licence, source.origin
        self.left_out = source.left_out
        if labelled and source.labels is not None:
            self.labels, self.class_names = source.labels[indices], source.class_names

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, index: int) -> Image.Image:
        return self.source.image(self.indices[index])

    def where(self, index: int) -> str:
        return self.source.where(self.indices[index])

    def paths(self) -> list[Path]:
        return self.source.paths()

    def stamps(self) -> list[str]:
        stamps = self.source.stamps()
        return [stamps[index] for index in self.indices]

    def at(self, resolution: int | None) -> Selection:
        moved = copy.copy(self)
        moved.source = self.source.at(resolution)
        moved.origin = moved.source.origin
        return moved
