"""Matrices of the colour transforms, and carrying them out (arXiv:2006.06676, appendix B).

There is one per image, together [N, 4, 4]. They act on column vectors (r, g, b, 1) with colours in [-1, 1].

All but brightness are one family: with the luma axis v = (1, 1, 1) / sqrt(3), a colour's part along v is scaled, and
the rest, its chroma, is scaled and turned about v.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.laws import or_at_rest
from leangan.core.constants import constant


def color(
    x: Tensor,
    brightness: Tensor | None = None,
    contrast: Tensor | None = None,
    luma_flip: Tensor | None = None,
    hue: Tensor | None = None,
    saturation: Tensor | None = None,
) -> Tensor:
    """Matrices [N, 4, 4] of all these transforms, one after the other.

    The numbers are those of `augment.pipeline.laws`, [N, 1]; what is left out is at rest. Brightness is added to all
    channels, contrast multiplies them by 2^contrast, a flip negates luma, hue turns chroma by an angle, saturation
    multiplies chroma by 2^saturation.
    """
    brightness, contrast, luma_flip, hue, saturation = or_at_rest(x, brightness, contrast, luma_flip, hue, saturation)
    luma = torch.exp2(contrast) * (1 - 2 * luma_flip)
    chroma = torch.exp2(contrast + saturation)
    ahead, across = chroma * hue.cos(), chroma * hue.sin()
    # luma * v v^T + ahead * (I - v v^T) + across * [v]_x; grouped by bases, so that 1, 1, 0 give exactly the identity.
    weights = torch.stack([ahead, luma - ahead, across, luma * brightness], 1)
    bases, last = _bases(x.dtype, x.device)
    return (weights[..., None] * bases).sum(1) + last


def recolor(x: Tensor, matrix: Tensor) -> Tensor:
    """Applies [N, 4, 4] matrices to images [N, C, H, W] with 3 channels or 1.

    A gray value g is taken as the colour (g, g, g), and of the transformed colour the mean is kept.
    """
    matrix = matrix.to(x)
    channels = x.shape[1]
    if channels == 3:
        return torch.baddbmm(matrix[:, :3, 3:], matrix[:, :3, :3], x.flatten(2)).view_as(x)
    if channels == 1:
        factor, shift = matrix[:, :3, :3].sum(2).mean(1), matrix[:, :3, 3].mean(1)
        return x * factor[:, None, None, None] + shift[:, None, None, None]
    raise ValueError(f"images have {channels} channels; colour transforms take 1 or 3: leave them out (`categories`)")


@constant
def _bases(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """I, v v^T, [v]_x (the cross product with v) and a shift of all channels, [4, 4, 4]; and the last row, [4, 4]."""
    bases, last = torch.zeros(4, 4, 4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    bases[0, :3, :3] = torch.eye(3)
    bases[1, :3, :3] = 1 / 3
    bases[2, :3, :3] = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * 3**-0.5
    bases[3, :3, 3] = 1
    last[3, 3] = 1
    return bases.to(device, dtype), last.to(device, dtype)
