"""The laws of the 18 transforms (arXiv:2006.06676, sec. 2.2, appendix B), and drawing by many of them at once.

A law says which random numbers a transform takes. Each image has a gate for each law, open with probability `p`; behind
a closed gate the transform is at rest. `p` is a number or a tensor, 0-dim or [N] for a probability of each image's
own; a tensor may live on the device: nothing is read back. Below 0 it acts as 0, above 1 as 1.

All numbers come from the global generator of the images' device, by two calls however many laws there are, with the
images first, so that the numbers of one image stay together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from leangan.core.constants import constant


@dataclass(frozen=True)
class Law:
    """`count` independent numbers, each `offset + width * n` for a random n in [0, 1), or from N(0, 1) if `normal`.

    Attributes:
        whole: the numbers are rounded down.
        rest: the numbers behind a closed gate.
        gates: the law is drawn so often, behind gates of which at least one is open with probability p.
    """

    width: float
    offset: float = 0.0
    normal: bool = False
    count: int = 1
    whole: bool = False
    rest: float = 0.0
    gates: int = 1

    def __call__(self, x: Tensor, p: Tensor | float = 1.0) -> Tensor:
        """Numbers [N, count] for images x [N, C, H, W]."""
        return draw(x, p, {"alone": self})["alone"]


def normal(deviation: float, count: int = 1) -> Law:
    """N(0, deviation^2)."""
    return Law(deviation, normal=True, count=count)


def uniform(reach: float, count: int = 1) -> Law:
    """U(-reach, reach)."""
    return Law(2 * reach, -reach, count=count)


def choice(options: int) -> Law:
    """0, 1, ... options - 1 with equal probability."""
    return Law(options, whole=True)


REACH = 1 / 8
"""Fraction of the size up to which whole pixels are moved."""

FLIP_X, ROTATE90, TRANSLATE_WHOLE = choice(2), choice(4), uniform(REACH, count=2)
"""A mirror image or none, a number of quarter turns, fractions of the width and height."""

SCALE, ROTATE, SCALE_ANISOTROPIC, TRANSLATE = normal(0.2), uniform(math.pi), normal(0.2), normal(1 / 8, count=2)
"""Powers of 2, an angle, fractions of the width and height."""

BRIGHTNESS, CONTRAST, LUMA_FLIP, HUE, SATURATION = normal(0.2), normal(0.5), choice(2), uniform(math.pi), normal(1.0)
"""A shift, powers of 2, a mirror image or none, an angle."""

BAND = normal(1.0)
"""A power of 2."""

NOISE = normal(0.1)
"""A standard deviation, but for the sign."""

CUTOUT = Law(1.0, count=2, rest=math.inf)
"""Fractions of the width and height at which the hole's centre lies."""

LAWS: dict[str, dict[str, Law]] = {
    "blit": {"flip_x": FLIP_X, "rotate90": ROTATE90, "translate_whole": TRANSLATE_WHOLE},
    "geom": {
        "scale": SCALE,
        "rotate": replace(ROTATE, gates=2),
        "scale_anisotropic": SCALE_ANISOTROPIC,
        "rotate_again": replace(ROTATE, gates=2),
        "translate": TRANSLATE,
    },
    "color": {
        "brightness": BRIGHTNESS,
        "contrast": CONTRAST,
        "luma_flip": LUMA_FLIP,
        "hue": HUE,
        "saturation": SATURATION,
    },
    "filter": {"band_1": BAND, "band_2": BAND, "band_3": BAND, "band_4": BAND},
    "noise": {"noise": NOISE},
    "cutout": {"cutout": CUTOUT},
}
"""What the pipeline draws for each category, in the order in which it acts."""


def draw(x: Tensor, p: Tensor | float, laws: Mapping[str, Law]) -> dict[str, Tensor]:
    """Numbers [N, count] by each of the laws for images x [N, C, H, W]. ValueError for a p of another shape."""
    if isinstance(p, Tensor) and p.shape not in ((), (len(x),)):
        raise ValueError(f"p has shape {tuple(p.shape)}; allowed are a number and one per image, shape ({len(x)},)")
    table = _table(tuple(laws.values()), x.dtype, x.device)
    uniforms = torch.rand(len(x), table.gates + table.uniforms, dtype=x.dtype, device=x.device)
    normals = torch.randn(len(x), table.normals, dtype=x.dtype, device=x.device)
    gates, uniforms = uniforms.tensor_split([table.gates], 1)

    if isinstance(p, Tensor) and p.ndim:
        p = p[:, None]
    if table.repeated is not None:
        p = torch.as_tensor(p, dtype=x.dtype)
        p = torch.where(table.repeated, 1 - (1 - p.clamp(0, 1)) ** table.exponent, p)
    is_open = (gates < p).index_select(1, table.gate)

    numbers = torch.addcmul(table.offset, torch.cat([uniforms, normals], 1), table.width)
    if table.whole is not None:
        numbers = torch.where(table.whole, numbers.floor(), numbers)
    columns = torch.where(is_open, numbers, table.rest).tensor_split(table.ends, 1)
    return {name: columns[place] for name, place in zip(laws, table.places, strict=True)}


@dataclass(frozen=True)
class _Table:
    """What `draw` needs to know of some laws: a row for each property, with the uniform numbers first.

    A row has an entry for each number; `repeated` and `exponent` have one for each law. None says that all are false.
    """

    gates: int
    uniforms: int
    normals: int
    repeated: Tensor | None
    exponent: Tensor
    gate: Tensor
    width: Tensor
    offset: Tensor
    rest: Tensor
    whole: Tensor | None
    ends: tuple[int, ...]
    places: tuple[int, ...]


@constant
def _table(laws: tuple[Law, ...], dtype: torch.dtype, device: torch.device) -> _Table:
    order = sorted(range(len(laws)), key=lambda i: laws[i].normal)
    owners = [i for i in order for _ in range(laws[i].count)]

    def row(*entries: float, dtype: torch.dtype = dtype) -> Tensor:
        return torch.tensor(entries, dtype=dtype, device=device)

    def flags(values: Iterable[bool]) -> Tensor | None:
        entries = list(values)
        return row(*entries, dtype=torch.bool) if any(entries) else None

    return _Table(
        gates=len(laws),
        uniforms=sum(law.count for law in laws if not law.normal),
        normals=sum(law.count for law in laws if law.normal),
        repeated=flags(law.gates > 1 for law in laws),
        exponent=row(*(1 / law.gates for law in laws)),
        gate=row(*owners, dtype=torch.int64),
        width=row(*(laws[i].width for i in owners)),
        offset=row(*(laws[i].offset for i in owners)),
        rest=row(*(laws[i].rest for i in owners)),
        whole=flags(laws[i].whole for i in owners),
        ends=tuple(accumulate(laws[i].count for i in order[:-1])),
        places=tuple(order.index(i) for i in range(len(laws))),
    )


def or_at_rest(x: Tensor, *numbers: Tensor | None) -> list[Tensor]:
    """The numbers, or zeros [N, 1] in place of None: a transform that takes no part."""
    return [x.new_zeros(len(x), 1) if each is None else each for each in numbers]
