"""The look shared by all figures: fonts, sizes, a colour-blind-safe colour per method, reproducible files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.files import write_atomic

COLUMN_IN, TEXT_IN = 3.3, 6.9
"""Width in inches of one column and of the whole text block in a two-column paper."""

GREY = "#666666"
DPI = 300

# Okabe and Ito, "Color Universal Design" (2008), without its yellow, which is invisible on white.
FIXED = {"none": "#000000", "diffaugment": "#0072B2", "da": "#E69F00", "ada": "#D55E00"}
FREE = ["#009E73", "#CC79A7", "#56B4E9"]
DASHES = ["-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1))]

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
        "font.size": 7,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E3E3E3",
        "grid.linewidth": 0.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "legend.handlelength": 1.8,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "svg.hashsalt": "leangan",
        "svg.fonttype": "none",
    }
)


@dataclass(frozen=True)
class MethodStyle:
    """How a method is drawn in every figure."""

    color: str
    linestyle: str | tuple


def method_styles(methods: list[str]) -> dict[str, MethodStyle]:
    """A style for each of `methods` (all methods of the results: a method looks alike in every figure).

    The four main methods keep their colours whatever is beside them; the others share three colours
    in alphabetical order and differ by dashes as well.
    """
    styles = {name: MethodStyle(color, "-") for name, color in FIXED.items()}
    for i, name in enumerate(sorted(set(methods) - set(FIXED))):
        dashes = DASHES[i // len(FREE) % len(DASHES)]
        styles[name] = MethodStyle(FREE[i % len(FREE)], dashes)
    return {name: styles[name] for name in methods}


def panels(
    rows: int, columns: int, height_in: float, width_in: float = TEXT_IN, **kwargs
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns axes; `kwargs` go to Figure.subplots."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs).tolist()


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw, so that one missing log does not stop a report."""
    figure = Figure(figsize=(COLUMN_IN, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


def save(figure: Figure, stem: Path) -> None:
    """Write <stem>.png (300 dpi) and <stem>.svg, both free of dates and of random identifiers."""
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
        write_atomic(f"{stem}.{kind}", buffer.getvalue())
