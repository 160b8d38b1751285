"""BreCaHAD, 162 histopathology images of 1360 x 1024 pixels, as crops of 512 pixels.

Aksac et al. (2019), "BreCaHAD: a dataset for breast cancer histopathological annotation and diagnosis". The crops are
those of arXiv:2006.06676: half of each overlaps the next, so 4 x 3 of an image and 1,944 in all.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.known_sets import KnownSet
from leangan.data.readers import images

CROP_PX = 512
STRIDE_PX = 256


class Crops(Source):
    """The crops of the images of `source`, image by image, from left to right and then downwards.

    All images must have the size of the first one, at least 512 x 512. Raises DatasetError.
    """

    handles = ("_decoded",)

    def __init__(self, source: Source):
        self.source = source
        self.name, self.licence, self.origin = source.name, source.licence, f"crops of {source.origin}"
        self.left_out = source.left_out
        self.size = source.image(0).size
        if min(self.size) < CROP_PX:
            width, height = self.size
            raise DatasetError(f"{source.where(0)}: {width} x {height} holds no crop of {CROP_PX} pixels")
        across, down = ((side - CROP_PX) // STRIDE_PX + 1 for side in self.size)
        self.corners = [(STRIDE_PX * x, STRIDE_PX * y) for y in range(down) for x in range(across)]

    def __len__(self) -> int:
        return len(self.source) * len(self.corners)

    def paths(self) -> list[Path]:
        return self.source.paths()

    def stamps(self) -> list[str]:
        return [f"{stamp} {crop}" for stamp in self.source.stamps() for crop in range(len(self.corners))]

    def where(self, index: int) -> str:
        number, crop = divmod(index, len(self.corners))
        return f"{self.source.where(number)}, crop {crop}"

    def image(self, index: int) -> Image.Image:
        number, crop = divmod(index, len(self.corners))
        left, top = self.corners[crop]
        return self._original(number).crop((left, top, left + CROP_PX, top + CROP_PX))

    def _original(self, number: int) -> Image.Image:
        """Image `number`, decoded once for its crops, which are asked for one after the other."""
        if getattr(self, "_decoded", (None,))[0] != number:
            image = self.source.image(number)
            if image.size != self.size:
                raise DatasetError(f"{self.source.where(number)}: {image.size} pixels, while the first has {self.size}")
            self._decoded = (number, image)
        return self._decoded[1]


def open_set(row: KnownSet, path: Path) -> Crops:
    """The crops of the images at `path`. Raises DatasetError."""
    return Crops(images.open_set(row, path))
