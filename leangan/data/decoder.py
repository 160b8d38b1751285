"""Images of a source -> pixels in the partial file: what each process of a preparation does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leangan.data.contracts import BrokenImage, DatasetError, Source
from leangan.data.image import Facts, fit, to_rgb
from leangan.data.partial import Places


class Piece(NamedTuple):
    """Images that are decoded together, and the number of the first one's row in the partial file."""

    first: int
    indices: list[int]


@dataclass(frozen=True)
class Decoder:
    """How the images of `source` become pixels: [3, size, size] by `data.image.to_rgb` and `data.image.fit`.

    `like`: the number of an image whose size all must have already, None where they are made smaller.
    """

    source: Source
    size: int
    like: int | None
    crop: bool
    resize: str
    white: int | None

    def __call__(self, index: int) -> tuple[np.ndarray, Facts]:
        """Image `index`, uint8 [3, size, size], and what was done to it. Raises DatasetError."""
        image, where = self.source.image(index), self.source.where(index)
        if self.like is not None and min(image.size) != self.size:
            raise BrokenImage(
                where,
                f"{image.width} x {image.height}, while {self.source.where(self.like)} has {self.size} pixels",
                "give a resolution (--resolution) to resize all",
            )
        rgb, facts = to_rgb(image, where, self.white)
        pixels = fit(rgb, self.size, where, self.crop, self.resize)
        done = ["cropped"] * (rgb.width != rgb.height) + ["resized"] * (min(rgb.size) != self.size)
        return pixels, facts._replace(done=(*facts.done, *done))


class Written(NamedTuple):
    """A piece that was written: what is known of each image, or what is wrong with it; the SHA-256 of its pixels."""

    images: list[Facts | DatasetError]
    sha256: str


def write_piece(decoder: Decoder, places: Places, piece: Piece) -> Written:
    """Decode a piece and write it. Pixels between processes would cost more."""
    pixels = np.zeros((len(piece.indices), 3, decoder.size, decoder.size), dtype=np.uint8)
    images: list[Facts | DatasetError] = []
    for row, index in zip(pixels, piece.indices, strict=True):
        try:
            row[:], facts = decoder(index)
            images.append(facts)
        except DatasetError as error:
            images.append(error)
    places.write(piece.first, pixels.data)
    return Written(images, hashlib.sha256(pixels.data).hexdigest())
