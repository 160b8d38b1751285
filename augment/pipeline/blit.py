"""Matrices of pixel blitting, the transforms that copy pixels (arXiv:2006.06676, appendix B).

They are as in `augment.pipeline.geometry`, with whole entries only, so that `warp` copies pixels exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.geometry import affine, size_of
from leangan.augment.pipeline.laws import or_at_rest
from leangan.core.constants import constant


def blit(
    x: Tensor,
    flip_x: Tensor | None = None,
    rotate90: Tensor | None = None,
    translate_whole: Tensor | None = None,
) -> Tensor:
    """Matrices [N, 3, 3] of mirroring left and right, then quarter turns, then a translation rounded to pixels.

    The numbers are those of `augment.pipeline.laws`, [N, 1] and [N, 2]; what is left out is at rest. ValueError for
    `rotate90` where a quarter turn about the centre does not take pixels to pixels.
    """
    height, width = x.shape[-2:]
    if rotate90 is not None and (height - width) % 2:
        raise ValueError(
            f"images are {height} x {width}; quarter turns need sides that differ by an even number of pixels"
        )
    flip_x, rotate90, translate_whole = or_at_rest(x, flip_x, rotate90, translate_whole)
    which = torch.add(rotate90, flip_x, alpha=4).long().flatten()
    linear = _symmetries(x.dtype, x.device).index_select(0, which)
    return affine(x, *linear.unbind(1), *(translate_whole * size_of(x)).round().unbind(1))


@constant
def _symmetries(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The 8 symmetries of the square, (xx, xy, yx, yy) each: 0 to 3 quarter turns, then the same after mirroring."""
    turns = ((1, 0), (0, 1), (-1, 0), (0, -1))
    entries = [(cos * side, -sin, sin * side, cos) for side in (1, -1) for cos, sin in turns]
    return torch.tensor(entries, dtype=dtype, device=device)
