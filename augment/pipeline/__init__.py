"""The augmentation pipeline of ADA: 18 transforms in 6 categories (arXiv:2006.06676, sec. 2.2, appendix B).

    x = Pipeline("bgc")(x, p=0.6)
    x = hue(x, p=0.5, strength=0.1)

Each transform is also a function of its own, see `augment.pipeline.transforms`. `laws.py` says which random numbers a
transform takes, and draws them. `blit`, `geometry` and `color` make one matrix of the numbers of many transforms.
`warp`, `recolor`, `amplify`, `add_noise` and `cut_out` change the images.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from leangan.augment.pipeline.blit import blit
from leangan.augment.pipeline.color import color, recolor
from leangan.augment.pipeline.corruption import add_noise, cut_out, hole_at
from leangan.augment.pipeline.filter import amplify, band_gains
from leangan.augment.pipeline.geometry import compose, geometry
from leangan.augment.pipeline.laws import LAWS, draw
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
        numbers = self.draw(x, p)
        if "geom" in numbers:
            x = warp(x, self.geometry(x, numbers))
        elif "blit" in numbers:
            x = copy_pixels(x, self.geometry(x, numbers))
        if "color" in numbers:
            x = recolor(x, color(x, **numbers["color"]))
        if "filter" in numbers:
            x = amplify(x, band_gains(x, **numbers["filter"]))
        if "noise" in numbers:
            x = add_noise(x, numbers["noise"]["noise"][:, 0].abs())
        if "cutout" in numbers:
            x = cut_out(x, hole_at(x, numbers["cutout"]["cutout"]))
        return x

    def draw(self, x: Tensor, p: Tensor | float) -> dict[str, dict[str, Tensor]]:
        """The numbers of each transform in each category for images x, see `augment.pipeline.laws`."""
        laws = {category: LAWS[category] for category in self.categories}
        drawn = draw(x, p, {name: law for each in laws.values() for name, law in each.items()})
        return {category: {name: drawn[name] for name in each} for category, each in laws.items()}

    def geometry(self, x: Tensor, numbers: dict[str, dict[str, Tensor]]) -> Tensor:
        """The matrices [N, 3, 3] of blitting and geometry together, see `augment.pipeline.geometry`."""
        makers: dict[str, Callable[..., Tensor]] = {"blit": blit, "geom": geometry}
        return compose(*(make(x, **numbers[category]) for category, make in makers.items() if category in numbers))
