"""Photographs of solar cells, the set that comes with the installation (package elpv-dataset).

2,624 electroluminescence images of 300 x 300 pixels in grey, by Buerhop-Lutz, Deitsch et al. (2018),
"A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence Imagery".
Licence: CC BY-NC-SA 4.0, not for commercial use. Class: the cell type, mono- or polycrystalline.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from leangan.data.contracts import Source
from leangan.data.known_sets import KnownSet


class Elpv(Source):
    """The elpv set; all images are decoded together (240 MB) when it is opened."""

    name = "elpv"
    class_names = ["mono", "poly"]

    def __init__(self, licence: str, origin: str):
        from elpv_dataset.utils import load_dataset  # reading its list of files is left to its package

        self.licence = licence
        self.origin = origin
        self._images, _, types = load_dataset()
        self.labels = (types == "poly").astype(np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._images[index]).convert("RGB")


def open_set(row: KnownSet, path: None) -> Elpv:
    """The whole set, whichever part of it `row` names."""
    return Elpv(row.licence, "package elpv-dataset")
