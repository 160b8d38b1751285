"""Products of images with banded matrices, such as separable filters (`augment.pipeline.wavelet`).

A matrix is used as it is or, where that pays, as the blocks of its rows, which leave out most of its zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CPU_ROWS = 64
"""Rows multiplied at a time on a CPU: at 256 pixels 5 times faster than all rows, mostly zeros, at once."""

GPU_ROWS = 16
"""Rows in a block on a GPU. A block of a doubling then has 14 columns, of which a row uses 6; at 256 pixels a whole row
has 256. Fewer rows would leave out more, in more and smaller products that gather more columns twice."""

DENSE = 128
"""Pixels up to which a GPU multiplies with all zeros, by one kernel instead of three. At 32 pixels that is little work,
and at 128, by their operations and bytes, both ways cost the same."""


class Blocks(NamedTuple):
    """A matrix [R, C] in blocks of B rows, and those K of the columns outside which a block is zero.

    Attributes:
        columns: whole numbers [R / B * K], block by block.
        entries: [R / B, B, K]; rows that fill the last block are zero.
        rows: R.
    """

    columns: Tensor
    entries: Tensor
    rows: int

    @classmethod
    def of(cls, matrix: Tensor, device: torch.device) -> Blocks:
        """The blocks of a matrix on the CPU, for products on the device."""
        rows = len(matrix)
        blocks = torch.nn.functional.pad(matrix, (0, 0, 0, -rows % GPU_ROWS)).unflatten(0, (-1, GPU_ROWS))
        used = (blocks != 0).any(1)
        # Columns in use first, in their order; then as many others as the fullest block has more.
        columns = used.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, : int(used.sum(1).max())]
        entries = blocks.gather(2, columns[:, None].expand(-1, GPU_ROWS, -1))
        return cls(columns.flatten().to(device), entries.to(device), rows)

    def times(self, images: Tensor) -> Tensor:
        """The product with images [..., C, W], along their columns; [..., R, W]."""
        parts = images.index_select(-2, self.columns).unflatten(-2, (len(self.entries), -1))
        return (self.entries @ parts).flatten(-3, -2)[..., : self.rows, :]


Matrix = Tensor | Blocks


class Product(NamedTuple):
    """A matrix and its transpose."""

    matrix: Matrix
    transposed: Matrix


def product_of(matrix: Tensor, device: torch.device) -> Product:
    """Products with a matrix on the CPU for the device, in blocks where it is a GPU and the matrix is large."""
    if device.type == "cpu" or min(matrix.shape) <= DENSE:
        matrix = matrix.to(device)
        return Product(matrix, matrix.T)
    return in_blocks(matrix, device)


def in_blocks(matrix: Tensor, device: torch.device) -> Product:
    return Product(Blocks.of(matrix, device), Blocks.of(matrix.T, device))


def separable(along_y: Matrix, images: Tensor, along_x: Matrix) -> Tensor:
    """along_y @ images @ along_x^T for matrices [H', H], [W', W] and images [N, C, H, W]; [N, C, H', W']."""
    if isinstance(along_x, Blocks):
        images = along_x.times(images.mT).mT
    elif images.device.type == "cpu":
        images = torch.cat([images[..., a:b] @ rows.T for a, b, rows in _slices(along_x)], -1)
    else:
        images = images @ along_x.T
    if isinstance(along_y, Blocks):
        return along_y.times(images)
    if images.device.type == "cpu":
        return torch.cat([rows @ images[..., a:b, :] for a, b, rows in _slices(along_y)], -2)
    return along_y @ images


def _slices(matrix: Tensor) -> list[tuple[int, int, Tensor]]:
    """Some rows after the other, each time with the range of columns outside which they are zero, and their entries.

    This looks for zeros, for which a GPU would have to stop.
    """
    slices = []
    for rows in matrix.split(CPU_ROWS):
        used = (rows != 0).any(0).nonzero()
        first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        slices.append((first, end, rows[:, first:end]))
    return slices
