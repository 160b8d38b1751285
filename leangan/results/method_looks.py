"""Which method has which colour, dashes and marker, in figures and on the page.

A method is known by its name, so that it looks alike wherever it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

Dashes = str | tuple[float, tuple[float, ...]]
"""A line's dashes as matplotlib takes them."""


@dataclass(frozen=True)
class Colour:
    """One colour as figures print it, and as the page shows it on its light and its dark ground.

    The page's keep a contrast of 3 to their ground, which WCAG 2 asks of lines.
    """

    name: str
    print: str
    light: str
    dark: str


# In print: Okabe and Ito, "Color Universal Design" (2008), without its yellow, which is invisible on white.
BLACK = Colour("black", "#000000", light="#1a1d21", dark="#e6e8eb")
BLUE = Colour("blue", "#0072B2", light="#0072b2", dark="#56b4e9")
ORANGE = Colour("orange", "#E69F00", light="#a87000", dark="#e6b34d")
VERMILION = Colour("vermilion", "#D55E00", light="#c84a00", dark="#ff8a4c")
GREEN = Colour("green", "#009E73", light="#00795a", dark="#2fc79a")
PURPLE = Colour("purple", "#CC79A7", light="#b04f8a", dark="#e29ac4")
# On the page violet: sky blue is too pale for white, and on the dark ground it is what BLUE is there.
SKY = Colour("sky", "#56B4E9", light="#6a51a3", dark="#b3a2e8")

COLOURS = (BLACK, BLUE, ORANGE, VERMILION, GREEN, PURPLE, SKY)


@dataclass(frozen=True)
class MethodLook:
    """How a method is drawn: figures have its dashes, the page, whose dashes mean published numbers, its marker."""

    colour: Colour
    dashes: Dashes
    marker: str


SOLID: Dashes = "-"
OWN = {
    "none": MethodLook(BLACK, SOLID, "circle"),
    "diffaugment": MethodLook(BLUE, SOLID, "square"),
    "diffaugment-tc": MethodLook(BLUE, SOLID, "square"),
    "da": MethodLook(ORANGE, SOLID, "triangle"),
    "ada": MethodLook(VERMILION, SOLID, "diamond"),
}
"""The looks of the main methods."""

FREE = [
    MethodLook(colour, dashes, marker)
    for dashes, marker in zip(
        (SOLID, (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1))), ("circle", "square", "triangle", "diamond"), strict=True
    )
    for colour in (GREEN, PURPLE, SKY)
]
"""The looks that all other methods share."""


def choose_looks(methods: Iterable[str]) -> dict[str, MethodLook]:
    """A look for each of the methods of one picture. It depends on the name, so it is the same in every picture.

    If methods would look alike in one picture, the later ones take free looks, as long as there are any.
    """
    preferred = {name: OWN.get(name) or FREE[crc32(name.encode()) % len(FREE)] for name in methods}
    looks: dict[str, MethodLook] = {}
    for name, look in preferred.items():
        if look not in looks.values():
            looks[name] = look
    for name, look in preferred.items():
        if name not in looks:
            looks[name] = next((other for other in FREE if other not in looks.values()), look)
    return {name: looks[name] for name in preferred}
