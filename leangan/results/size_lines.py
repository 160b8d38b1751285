"""Quality over the size of the training set, after fig. 7 of arXiv:2006.06676.

A picture has a line per method through its scores, mean and single seeds, over the number of training images, and
another one through the published numbers. All points of a picture have one data set, backbone, protocol and
metric; the preset may change with the number of images, as it does in the papers. The axis of images is logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from leangan.results.scores import Score

T = TypeVar("T")

ROOM = 0.09
"""Of an axis; names nearer than that would overlap."""


@dataclass(frozen=True)
class SizeLine:
    """One method, measured or published: its scores by the number of training images, in their order.

    `name` is the method's name, empty if it is a paper's that has none here; `title` is what is printed.
    """

    name: str
    title: str
    published: bool
    scores: dict[int, Score]


def join_points(points: Iterable[tuple[str, bool, int, Score]]) -> list[SizeLine]:
    """The lines through points (title of the method, published or not, training images, score), as they first come."""
    found: dict[tuple[str, bool], dict[int, Score]] = {}
    for title, published, images, score in points:
        found.setdefault((title, published), {})[images] = score
    return [
        SizeLine(next(iter(scores.values())).method_name, title, published, dict(sorted(scores.items())))
        for (title, published), scores in found.items()
    ]


def group_by_picture(
    members: Iterable[T], shared: Callable[[T], tuple], images: Callable[[T], int], preset: Callable[[T], Hashable]
) -> dict[tuple, list[T]]:
    """The settings of each picture, equal in what is `shared`, by that and "".

    Presets change with the number of images as the papers' do; where two of them meet at one number, each has a picture
    of its own, and the preset stands for "" in its key.
    """
    together: dict[tuple, list[T]] = {}
    for member in members:
        together.setdefault(shared(member), []).append(member)
    found: dict[tuple, list[T]] = {}
    for key, family in together.items():
        apart = len({images(member) for member in family}) < len(family)
        for member in family:
            found.setdefault((*key, preset(member) if apart else ""), []).append(member)
    return found


def sizes_with_room(sizes: Iterable[int]) -> list[int]:
    """The sizes that a logarithmic axis names: each at least ROOM of the axis beyond the one before."""
    sizes = sorted(set(sizes))
    apart = ROOM * math.log(sizes[-1] / sizes[0])
    named = sizes[:1]
    for size in sizes[1:]:
        if math.log(size / named[-1]) >= apart:
            named.append(size)
    return named


def short_count(images: float) -> str:
    """A number of images as on an axis: 500, 5k, 1.28M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if images >= 0.9995 * unit:
            return f"{images / unit:.3g}{name}"
    return f"{images:g}"
