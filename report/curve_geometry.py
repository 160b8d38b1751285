"""A curve as numbers for inline SVG: where its points, ticks and best snapshot lie."""

from __future__ import annotations

import math
from dataclasses import dataclass


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


def curve(
    values: list[tuple[float, float]],
    best_x: float,
    width: int,
    height: int,
    margin: tuple[int, int, int, int],
) -> Curve:
    """`values` [(x, y), ...] in a box of width x height pixels; `margin` is left, top, right, bottom.

    The x axis starts at 0, the y axis fits the values.
    """
    left, top, right, bottom = margin
    ys = [y for _, y in values]
    x_high, low, high = max(x for x, _ in values), min(ys), max(ys)
    span = (high - low) or abs(high) or 1.0

    def x_at(x: float) -> float:
        return round(left + (width - left - right) * x / (x_high or 1), 1)

    def y_at(y: float) -> float:
        return round(top + (height - top - bottom) * (high - y) / span, 1)

    return Curve(
        width,
        height,
        " ".join(f"{x_at(x)},{y_at(y)}" for x, y in values),
        (x_at(best_x), y_at(dict(values)[best_x])),
        [(x_at(tick), f"{tick:g}") for tick in nice_ticks(0, x_high)],
        [(y_at(tick), f"{tick:g}") for tick in nice_ticks(low, high)],
        (left, top, width - right, height - bottom),
    )
