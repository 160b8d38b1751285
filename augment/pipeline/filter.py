"""Random amplification of octave bands (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.laws import or_at_rest
from leangan.augment.pipeline.wavelet import octave_matrices
from leangan.core.constants import constant

EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of a natural image's power in each octave band, lowest first; spectra fall off about as 1/f."""


def band_gains(
    x: Tensor,
    band_1: Tensor | None = None,
    band_2: Tensor | None = None,
    band_3: Tensor | None = None,
    band_4: Tensor | None = None,
) -> Tensor:
    """Gains [N, 4] of the octave bands, lowest first, for images x [N, C, H, W].

    One band after the other is multiplied by 2^number, each time with a common factor for all bands that keeps the
    expected power, sum of EXPECTED_POWER * gain^2, at 1 for gains that were 1. The numbers are those of
    `augment.pipeline.laws`, [N, 1]; what is left out is at rest.
    """
    gains = torch.exp2(torch.cat(or_at_rest(x, band_1, band_2, band_3, band_4), 1))
    # 1 plus the change, so that a closed gate leaves exactly 1.
    power = 1 + _expected_power(x.dtype, x.device) * (gains.square() - 1)
    return gains / power.prod(1, keepdim=True).sqrt()


def amplify(x: Tensor, gains: Tensor) -> Tensor:
    """Filters images [N, C, H, W] along both axes with the sum of the four bands times gains [N, 4].

    The image is continued by reflection. Gains of 1 leave it exactly as it is.
    """
    change, sizes = gains.to(x) - 1, x.shape[2:]
    along = {}
    for size in set(sizes):
        bands = octave_matrices(size, x.dtype, x.device).flatten(1)
        along[size] = torch.addmm(_identity(size, x.dtype, x.device), change, bands).view(-1, 1, size, size)
    along_y, along_x = (along[size] for size in sizes)
    return along_y @ x @ along_x.mT


@constant
def _expected_power(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(EXPECTED_POWER, dtype=dtype, device=device)


@constant
def _identity(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The identity of an axis as one row, [size * size]."""
    return torch.eye(size, dtype=dtype, device=device).flatten()
