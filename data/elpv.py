"""Photographs of solar cells, the set that comes with the installation (package elpv-dataset).

2,624 electroluminescence images of 300 x 300 pixels in grey, by Buerhop-Lutz, Deitsch et al. (2018),
"A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence Imagery".
Licence: CC BY-NC-SA 4.0, not for commercial use. Class: the cell type, mono- or polycrystalline.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from PIL import Image

from data.base import Source


class Elpv(Source):
    """The elpv set; images are decoded together (240 MB) on first use."""

    name = "elpv"
    class_names = ["mono", "poly"]

    def __init__(self, licence: str, origin: str):
        self.licence = licence
        self.origin = origin

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        from elpv_dataset.utils import load_dataset  # reading its list of files is left to its package

        images, _, types = load_dataset()
        return images, types

    @cached_property
    def labels(self) -> np.ndarray:
        return (self._arrays[1] == "poly").astype(np.int64)

    def __len__(self) -> int:
        return len(self._arrays[0])

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._arrays[0][index]).convert("RGB")
