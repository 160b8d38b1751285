"""The augmentation pipeline of ADA: 18 transforms in 6 categories (arXiv:2006.06676, sec. 2.2, appendix B).

Each transform is also a function of its own. It draws its parameters for a batch, with probability `p` per
image and a `strength` whose default is the published one, and a second function applies them:

    x = warp(x, rotate(x, p=0.5))
    x = recolor(x, hue(x, strength=0.1))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from augment.pipeline.blit import flip_x, rotate90, translate_whole
from augment.pipeline.color import brightness, contrast, hue, luma_flip, recolor, saturation
from augment.pipeline.cutout import cut_out, hole
from augment.pipeline.filter import BANDS, amplify, band_gain
from augment.pipeline.geometry import affine, compose, rotate, scale, scale_anisotropic, translate
from augment.pipeline.noise import add_noise, noise_sigma
from augment.pipeline.resample import warp
from suite.errors import unknown_name

__all__ = [
    "CATEGORIES",
    "Pipeline",
    "add_noise",
    "affine",
    "amplify",
    "band_gain",
    "brightness",
    "compose",
    "contrast",
    "cut_out",
    "flip_x",
    "hole",
    "hue",
    "luma_flip",
    "noise_sigma",
    "recolor",
    "rotate",
    "rotate90",
    "saturation",
    "scale",
    "scale_anisotropic",
    "translate",
    "translate_whole",
    "warp",
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
        if categories not in CATEGORIES:
            raise unknown_name("categories", categories, CATEGORIES, "the method's `categories`")
        self.categories = CATEGORIES[categories]

    def forward(self, x: Tensor, p: Tensor | float) -> Tensor:
        """Transforms images [N, C, H, W] in [-1, 1], each transform with probability p (number or 0-dim).

        The result may leave [-1, 1]. C is 1 or 3 where colour transforms take part. Differentiable twice.
        """
        # Under autocast the matrix products below would run with 8 to 11 significant bits.
        with torch.autocast(x.device.type, enabled=False):
            if "blit" in self.categories or "geom" in self.categories:
                x = warp(x, self.draw_geometry(x, p))
            if "color" in self.categories:
                x = recolor(x, self.draw_color(x, p))
            if "filter" in self.categories:
                gains = torch.stack([band_gain(x, band, p) for band in range(BANDS)])
                x = amplify(x, gains.prod(0))
            if "noise" in self.categories:
                x = add_noise(x, noise_sigma(x, p))
            if "cutout" in self.categories:
                x = cut_out(x, hole(x, p))
        return x

    def draw_geometry(self, x: Tensor, p: Tensor | float) -> Tensor:
        """The matrices [N, 3, 3] of blitting and geometry together, see `augment.pipeline.geometry`."""
        matrices = []
        if "blit" in self.categories:
            matrices += [flip_x(x, p), rotate90(x, p), translate_whole(x, p)]
        if "geom" in self.categories:
            # Rotations before and after the anisotropic scaling; with probability p at least one acts.
            p_rotate = 1 - (1 - torch.as_tensor(p).clamp(0, 1)).sqrt()
            matrices += [scale(x, p), rotate(x, p_rotate), scale_anisotropic(x, p), rotate(x, p_rotate)]
            matrices += [translate(x, p)]
        return compose(*matrices)

    def draw_color(self, x: Tensor, p: Tensor | float) -> Tensor:
        """The matrices [N, 4, 4] of all colour transforms together, see `augment.pipeline.color`."""
        return compose(brightness(x, p), contrast(x, p), luma_flip(x, p), hue(x, p), saturation(x, p))
