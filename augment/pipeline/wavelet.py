"""Wavelet filters as matrices (arXiv:2006.06676, appendix B; taps: Daubechies, Ten Lectures on Wavelets).

A separable filter on an axis that is continued by reflection is a matrix: reflection, zero insertion,
convolution and decimation are all in its entries, for every axis length, and its adjoint is the transpose.
All indices below are exact; u counts samples of the doubled axis, i those of the image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.constants import constant

SYM2 = (-0.1294095225512604, 0.2241438680420134, 0.8365163037378079, 0.4829629131445342)
SYM6 = (
    0.0154041093270274, 0.0034907120842174, -0.1179901111485212, -0.0483117425856330,
    0.4910559419267466, 0.7876411410301940, 0.3379294217276218, -0.0726375227864625,
    -0.0210602925123006, 0.0447249017706658, 0.0017677118642428, -0.0078007083250305,
)  # fmt: skip

HALO = 5
"""Tap k of sym6 joins image sample i and doubled sample u = 2i + k - HALO: the doubled axis of an image that
is read completely starts HALO samples before 0 and has 2 * size + 2 * HALO of them."""

CENTRE = sum(k * h for k, h in enumerate(SYM6)) / sum(SYM6) - HALO
"""Sample u of the doubled axis shows the image at (u - CENTRE) / 2. sym6 is not symmetric: its centroid lies
at tap 5.098, not 5.5, and the latter would shift an image that is turned by 180 degrees by 0.4 pixels."""


def reflect(index: Tensor, size: int) -> Tensor:
    """Index of the sample at any whole position of an axis reflected at its ends, which are not repeated."""
    return fold(index, period_of(size))


def period_of(size: int) -> int:
    """After how many pixels a reflected axis repeats itself."""
    return max(2 * (size - 1), 1)


def fold(index: Tensor, period: Tensor | int) -> Tensor:
    """`reflect` on axes with this `period_of` their sizes."""
    index = index % period
    return torch.minimum(index, period - index)


def first_doubled(size: int) -> int:
    """The first doubled sample of an axis with the widest reflect padding, size - 1 on each side."""
    return -2 * (size - 1)


def end_doubled(size: int) -> int:
    """The end, excluded, of that axis: 3 * size - 2 pixels, two samples each."""
    return first_doubled(size) + 2 * (3 * size - 2)


def one_period(size: int) -> tuple[int, int]:
    """First and end of the doubled samples of one period, the sample with which the next begins included."""
    return first_doubled(size), first_doubled(size) + 4 * (size - 1) + 1


@constant
def doubling(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix [6 * size - 4, size] of x2 up-sampling with sym6: the doubled samples from `first_doubled` on.

    They cover size - 1 pixels of reflect padding on each side. A window of samples is a window of rows.
    """
    u = torch.arange(first_doubled(size), end_doubled(size))[:, None]
    k = torch.arange(len(SYM6))[None, :]
    i, joined = (u + HALO - k).div(2, rounding_mode="floor"), (u + HALO - k) % 2 == 0
    # Zero insertion halves the mean, which the factor 2 restores: 2 * (h / sqrt 2), whose sum is 2.
    taps = 2**0.5 * torch.tensor(SYM6, dtype=torch.float64) * joined
    matrix = torch.zeros(len(u), size, dtype=torch.float64)
    matrix.scatter_add_(1, reflect(i, size), taps)
    return matrix.to(device, dtype)


@constant
def halving(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrix [size, 2 * size + 2 * HALO] of x2 down-sampling from the doubled samples that start at -HALO.

    It inverts `doubling`, because the even shifts of sym6 are orthonormal.
    """
    matrix = torch.zeros(size, 2 * size + 2 * HALO, dtype=torch.float64)
    taps = torch.tensor(SYM6, dtype=torch.float64) / 2**0.5
    for i in range(size):
        matrix[i, 2 * i : 2 * i + len(SYM6)] = taps
    return matrix.to(device, dtype)


def octave_filters() -> Tensor:
    """Zero-phase filters [4, 43] of four octave bands, lowest first, that add up to the identity.

    With L(z) = H(z) H(1/z) / 2 of sym2, for which L(z) + L(-z) = 1, the bands are
    L(z) L(z^2) L(z^4),  L(z) L(z^2) L(-z^4),  L(z) L(-z^2)  and  L(-z).
    """
    h = torch.tensor(SYM2, dtype=torch.float64)
    low = _convolve(h, h.flip(0)) / 2
    high = -low
    high[3] += 1
    bands = []
    above = torch.ones(1, dtype=torch.float64)  # the low-passes of all finer octaves
    for octave in range(3):
        bands.append(_convolve(above, _spread(high, 2**octave)))
        above = _convolve(above, _spread(low, 2**octave))
    bands.append(above)
    radius = len(above) // 2
    return torch.stack(
        [torch.nn.functional.pad(b, (radius - len(b) // 2, radius - len(b) // 2)) for b in reversed(bands)]
    )


@constant
def octave_matrices(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The `octave_filters` on a reflected axis as matrices [4, size, size]."""
    filters = octave_filters()
    radius = filters.shape[1] // 2
    i = torch.arange(size)[:, None] + torch.arange(-radius, radius + 1)[None, :]
    matrices = torch.zeros(len(filters), size, size, dtype=torch.float64)
    for matrix, taps in zip(matrices, filters, strict=True):
        matrix.scatter_add_(1, reflect(i, size), taps.expand(size, -1))
    return matrices.to(device, dtype)


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.conv1d(a[None, None], b.flip(0)[None, None], padding=len(b) - 1)[0, 0]


def _spread(h: Tensor, step: int) -> Tensor:
    """h(z^step): zeros between the taps."""
    spread = h.new_zeros((len(h) - 1) * step + 1)
    spread[::step] = h
    return spread
