"""Laws of the colour transforms (arXiv:2006.06676, appendix B).

Each `draw_` function draws one matrix per image of x [N, C, H, W], together [N, 4, 4]; with probability
1 - p it is the identity. `strength` multiplies the published width of the law, or a coin's probability.
Matrices act on column vectors (r, g, b, 1) with colours in [-1, 1]. `recolor` applies them.

All but brightness are one family: with the luma axis v = (1, 1, 1) / sqrt(3), a colour's part along v is
scaled, and the rest is scaled and turned about v.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.gate import gate, gated_normal, gated_uniform

BRIGHTNESS_STD, CONTRAST_STD, HUE_REACH, SATURATION_STD = 0.2, 0.5, torch.pi, 1.0


def draw_brightness(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Adds N(0, 0.2^2) to all channels."""
    matrix = torch.eye(4, dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)
    matrix[:, :3, 3] = (gated_normal(x, p) * (BRIGHTNESS_STD * strength))[:, None]
    return matrix


def draw_contrast(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies all channels by 2^N(0, 0.5^2)."""
    factor = torch.exp2(gated_normal(x, p) * (CONTRAST_STD * strength))
    return _about_luma(x, factor, factor)


def draw_luma_flip(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Negates luma and keeps chroma (the Householder reflection about v) by a fair coin behind the gate."""
    flipped = gate(x, p) & gate(x, strength / 2)
    return _about_luma(x, luma=torch.where(flipped, -1, 1).to(x))


def draw_hue(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Turns colours about the luma axis by an angle uniform in [-pi, pi]."""
    angle = gated_uniform(x, p) * (HUE_REACH * strength)
    return _about_luma(x, chroma=angle.cos(), turn=angle.sin())


def draw_saturation(x: Tensor, p: Tensor | float = 1.0, strength: float = 1.0) -> Tensor:
    """Multiplies chroma, the part of a colour orthogonal to v, by 2^N(0, 1)."""
    return _about_luma(x, chroma=torch.exp2(gated_normal(x, p) * (SATURATION_STD * strength)))


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


def _about_luma(
    x: Tensor, luma: Tensor | float = 1.0, chroma: Tensor | float = 1.0, turn: Tensor | float = 0.0
) -> Tensor:
    """luma * v v^T + chroma * (I - v v^T) + turn * [v]_x, where [v]_x is the cross product with v."""
    third, root = 1 / 3, 3**-0.5
    # Written with luma - chroma, so that 1, 1, 0 give exactly the identity.
    same = (luma - chroma) * third
    ahead, behind = same + turn * root, same - turn * root
    same = chroma + same
    rows = ((same, behind, ahead), (ahead, same, behind), (behind, ahead, same))
    matrix = torch.eye(4, dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            matrix[:, i, j] = entry
    return matrix
