"""The augmentation pipeline of ADA: 18 transforms in 6 categories (arXiv:2006.06676, sec. 2.2, appendix B).

    x = Pipeline("bgc")(x, p=0.6)
    x = hue(x, p=0.5, strength=0.1)

Each transform is also a function of its own, see `augment.pipeline.transforms`. A `draw_` function draws its
parameters, `warp`, `recolor`, `amplify`, `add_noise` and `cut_out` apply them; so the pipeline draws many
matrices and applies their product once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leangan.augment.pipeline.blit import draw_flip_x, draw_rotate90, draw_translate_whole
from leangan.augment.pipeline.color import (
    draw_brightness,
    draw_contrast,
    draw_hue,
    draw_luma_flip,
    draw_saturation,
    recolor,
)
from leangan.augment.pipeline.corruption import add_noise, cut_out, draw_hole, draw_noise_sigma
from leangan.augment.pipeline.filter import BANDS, amplify, draw_band_gains
from leangan.augment.pipeline.geometry import compose, draw_rotate, draw_scale, draw_scale_anisotropic, draw_translate
from leangan.augment.pipeline.precision import in_float32
from leangan.augment.pipeline.resample import copy_pixels, warp
from leangan.augment.pipeline.transforms import (
    band_1,
    band_2,
    band_3,
    band_4,
    brightness,
    contrast,
    cutout,
    flip_x,
    hue,
    luma_flip,
    noise,
    rotate,
    rotate90,
    saturation,
    scale,
    scale_anisotropic,
    translate,
    translate_whole,
)
from leangan.core.errors import unknown_name

__all__ = [
    "CATEGORIES",
    "Pipeline",
    "band_1",
    "band_2",
    "band_3",
    "band_4",
    "brightness",
    "contrast",
    "cutout",
    "flip_x",
    "hue",
    "luma_flip",
    "noise",
    "rotate",
    "rotate90",
    "saturation",
    "scale",
    "scale_anisotropic",
    "translate",
    "translate_whole",
]

CATEGORIES = {
    "blit": ("blit",),
    "geom": ("geom",),
    "color": ("color",),
    "filter": ("filter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": ("blit", "geom"),
    "bgc": ("blit", "geom", "color"),
    "bgcf": ("blit", "geom", "color", "filter"),
    "bgcfn": ("blit", "geom", "color", "filter", "noise"),
    "bgcfnc": ("blit", "geom", "color", "filter", "noise", "cutout"),
}


class Pipeline(nn.Module):
    """Applies the transforms of the named categories, in the published order.

    Blitting and geometry make one matrix and one warp, all colour transforms one matrix.

    Args:
        categories: a key of `CATEGORIES`; "bgc" is what the paper's ADA results use.
    """

    def __init__(self, categories: str = "bgc") -> None:
        super().__init__()
        if categories not in tuple(CATEGORIES):
            raise unknown_name("categories", categories, CATEGORIES, "the method's `categories`")
        self.categories = CATEGORIES[categories]

    def forward(self, x: Tensor, p: Tensor | float) -> Tensor:
        """Transforms images [N, C, H, W] in [-1, 1], each transform with probability p: a number, 0-dim or [N].

        The result may leave [-1, 1]; its type is that of x, computed is in float32 at least. C is 1 or 3 where colour
        transforms take part. Differentiable twice.
        """
        return in_float32(self._transformed)(x, p)

    def _transformed(self, x: Tensor, p: Tensor | float) -> Tensor:
        if "geom" in self.categories:
            x = warp(x, self.draw_geometry(x, p))
        elif "blit" in self.categories:
            x = copy_pixels(x, self.draw_geometry(x, p))
        if "color" in self.categories:
            x = recolor(x, self.draw_color(x, p))
        if "filter" in self.categories:
            gains = torch.stack([draw_band_gains(x, band, p) for band in range(BANDS)])
            x = amplify(x, gains.prod(0))
        if "noise" in self.categories:
            x = add_noise(x, draw_noise_sigma(x, p))
        if "cutout" in self.categories:
            x = cut_out(x, draw_hole(x, p))
        return x

    def draw_geometry(self, x: Tensor, p: Tensor | float) -> Tensor:
        """The matrices [N, 3, 3] of blitting and geometry together, see `augment.pipeline.geometry`."""
        matrices = []
        if "blit" in self.categories:
            matrices += [draw_flip_x(x, p), draw_rotate90(x, p), draw_translate_whole(x, p)]
        if "geom" in self.categories:
            # Rotations before and after the anisotropic scaling; with probability p at least one acts.
            p_rotate = 1 - (1 - torch.as_tensor(p).clamp(0, 1)).sqrt()
            matrices += [draw_scale(x, p), draw_rotate(x, p_rotate)]
            matrices += [draw_scale_anisotropic(x, p), draw_rotate(x, p_rotate), draw_translate(x, p)]
        return compose(*matrices)

    def draw_color(self, x: Tensor, p: Tensor | float) -> Tensor:
        """The matrices [N, 4, 4] of all colour transforms together, see `augment.pipeline.color`."""
        return compose(
            draw_brightness(x, p), draw_contrast(x, p), draw_luma_flip(x, p), draw_hue(x, p), draw_saturation(x, p)
        )
