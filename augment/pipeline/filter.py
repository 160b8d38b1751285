"""Random amplification of octave bands (arXiv:2006.06676, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.gate import gated_normal
from leangan.augment.pipeline.wavelet import octave_matrices

BANDS = 4
GAIN_STD = 1.0
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of a natural image's power in each octave band, lowest first; spectra fall off about as 1/f."""


def draw_band_gains(x: Tensor, band: int, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Gains [N, 4] of the octave bands, lowest first: 2^N(0, 1) for `band` (0 to 3), then all normalised.

    The common factor keeps the expected power, sum of EXPECTED_POWER * gain^2, at 1.
    """
    gains = x.new_ones(len(x), BANDS)
    gains[:, band] = torch.exp2(gated_normal(x, p) * (GAIN_STD * strength))
    # 1 plus the change, so that a closed gate leaves exactly 1.
    power = 1 + EXPECTED_POWER[band] * (gains[:, band : band + 1].square() - 1)
    return gains / power.sqrt()


def amplify(x: Tensor, gains: Tensor) -> Tensor:
    """Filters images [N, C, H, W] along both axes with the sum of the four bands times gains [N, 4].

    The image is continued by reflection. Gains of 1 leave it exactly as it is.
    """
    n, _, height, width = x.shape
    change = gains.to(x) - 1
    along_y, along_x = (
        torch.eye(size, dtype=x.dtype, device=x.device)
        + (change @ octave_matrices(size, x.dtype, x.device).flatten(1)).view(n, 1, size, size)
        for size in (height, width)
    )
    return along_y @ x @ along_x.mT
