"""Curves as numbers for inline SVG: where points, ticks and the best snapshot lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

GAP = 6
"""Pixels between a y axis and the texts of its ticks."""


@dataclass(frozen=True)
class Axis:
    """Values `low` to `high` on the pixels `start` to `end`, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def pixel_at(self, value: float) -> float:
        """The pixel of a value; an axis of one value has it at its end."""
        if self.low == self.high:
            return round(float(self.end), 1)
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """(pixel, text) of round values."""
        found = log_ticks(self.low, self.high) if self.log else nice_ticks(self.low, self.high)
        values = list(dict.fromkeys(found))  # steps finer than a float repeat
        return [(self.pixel_at(value), text) for value, text in zip(values, texts_of(values), strict=True)]


@dataclass(frozen=True)
class Curve:
    """Drawn coordinates. `points` is the polyline's attribute; ticks are (position, text)."""

    width: int
    height: int
    points: str
    best: tuple[float, float]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    frame: tuple[float, float, float, float]


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About `count` multiples of 1, 2, 2.5 or 5 times a power of ten within [low, high]."""
    if low == high:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within [low, high]; the powers alone, or multiples, where those suit better."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    if len(found) < 3:
        return nice_ticks(low, high)
    return found if len(found) <= 9 else [value for value in found if f"{value:e}"[0] == "1"]


def texts_of(values: list[float]) -> list[str]:
    """The values in print, with nine digits or as many more as tell them apart."""
    prints = ([f"{value:,.{digits}g}" for value in values] for digits in range(9, 18))
    return next(texts for texts in prints if len(set(texts)) == len(values))


def text_width(text: str, font: float) -> float:
    """The pixels of a number printed in a font of so many pixels, at least: by the widest of the usual typefaces."""
    return font * sum(0.33 if sign in ",." else 0.64 for sign in text)


def room_for(ticks: list[tuple[float, str]], font: float) -> int:
    """The pixels from the picture's left edge to a y axis with these ticks: their texts and a gap on either side."""
    return math.ceil(max(text_width(text, font) for _, text in ticks)) + GAP + 2


def curve(
    values: list[tuple[float, float]],
    best_x: float,
    width: int,
    height: int,
    margin: tuple[int, int, int, int],
    font: float = 0,
) -> Curve:
    """`values` [(x, y), ...] in a box of width x height pixels; `margin` is left, top, right, bottom.

    The x axis starts at 0, the y axis fits the values. `left` and `right` grow to what the ticks take in a font of so
    many pixels; without a font there are none.
    """
    left, top, right, bottom = margin
    ys = [y for _, y in values]
    x_axis = Axis(0, max(x for x, _ in values), left, width - right)
    y_axis = Axis(min(ys), max(ys), height - bottom, top)
    if font:
        left = max(left, room_for(y_axis.ticks(), font))
        right = max(right, math.ceil(text_width(x_axis.ticks()[-1][1], font) / 2))
        x_axis = Axis(0, x_axis.high, left, width - right)
    return Curve(
        width,
        height,
        " ".join(f"{x_axis.pixel_at(x)},{y_axis.pixel_at(y)}" for x, y in values),
        (x_axis.pixel_at(best_x), y_axis.pixel_at(dict(values)[best_x])),
        x_axis.ticks(),
        y_axis.ticks(),
        (left, top, width - right, height - bottom),
    )
