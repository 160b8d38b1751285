"""The look shared by all figures: fonts, sizes, lines, panels, reproducible files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from PIL import Image

from leangan.core.files import write_atomic
from leangan.results.method_looks import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, Dashes, choose_looks

COLUMN_IN, TEXT_IN = 3.3, 6.9
"""Width in inches of one column and of the whole text block in a two-column paper."""

GREY = "#666666"
DPI = 300

PALETTE = [colour.print for colour in (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)]
"""For lines that are no methods."""

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
        "pdf.fonttype": 42,  # TrueType, which publishers ask for
    }
)


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    color: str
    linestyle: Dashes = "-"
    marker: str = "o"


def method_looks(shown: list[str]) -> dict[str, Look]:
    """A look for each of the methods `shown` in one figure, the same in every figure."""
    return {name: Look(look.colour.print, look.dashes) for name, look in choose_looks(shown).items()}


def graded_looks(count: int) -> list[Look]:
    """Looks for an ordered quantity, from light to dark."""
    ramp = matplotlib.colormaps["viridis_r"]
    return [Look(matplotlib.colors.to_hex(ramp(0.15 + 0.85 * i / max(1, count - 1)))) for i in range(count)]


def panels(
    rows: int, columns: int, height_in: float, width_in: float = TEXT_IN, **kwargs
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns axes; `kwargs` go to Figure.subplots."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs).tolist()


def wrap_panels(count: int, row_in: float, **kwargs) -> tuple[Figure, list[Axes]]:
    """`count` axes in reading order, at most four in a row, each row `row_in` inches high."""
    columns = count if count <= 4 else min((3, 4), key=lambda width: -count % width)
    rows = -(-count // columns)
    figure, lines = panels(rows, columns, row_in * rows, TEXT_IN if count > 1 else COLUMN_IN, **kwargs)
    axes = [ax for line in lines for ax in line]
    for ax in axes[count:]:
        ax.remove()
    for ax in axes[max(0, count - columns) : count]:
        ax.tick_params(labelbottom=True)
    return figure, axes[:count]


def _place(ax: Axes) -> SubplotSpec:
    """The position of a panel in the grid of a figure of `panels` or `wrap_panels`."""
    place = ax.get_subplotspec()
    assert place is not None, "a panel of a grid"
    return place


def is_leftmost(ax: Axes) -> bool:
    """Whether the panel is in the first column."""
    return _place(ax).is_first_col()


def title(ax: Axes, text: str) -> None:
    """The title of a panel, in as many lines as its width needs."""
    width_in = ax.figure.bbox.width / ax.figure.dpi / _place(ax).get_gridspec().ncols
    ax.set_title(textwrap.fill(text, int(width_in / 0.06), break_long_words=False, break_on_hyphens=False))


def curve(ax: Axes, table: pd.DataFrame, look: Look, label: str) -> None:
    """A line through the mean over seeds, their range shaded; `table` is of `measured_runs.mean_and_range`."""
    ax.plot(table.index, table["mean"], color=look.color, linestyle=look.linestyle, label=label)
    if (table["max"] > table["min"]).any():
        ax.fill_between(table.index, table["min"], table["max"], color=look.color, alpha=0.15, linewidth=0)


def seeds(ax: Axes, points: Mapping[float, Sequence[float]], look: Look, label: str | None) -> None:
    """A marked line through the mean over seeds at each x, their range shaded; nothing where there are no points."""
    if points:
        low, mean, high = zip(*((min(ys), sum(ys) / len(ys), max(ys)) for ys in points.values()), strict=True)
        ax.plot(list(points), mean, look.marker, linestyle=look.linestyle, color=look.color, markersize=3, label=label)
        ax.fill_between(list(points), low, high, color=look.color, alpha=0.15, linewidth=0)


def picture(ax: Axes, image: Image.Image | None) -> None:
    """Show `image` in a panel without axes, its pixels as they are; words in its place where it is not here."""
    if image is None:
        words = "no picture came\nwith these rows"
        ax.text(0.5, 0.5, words, ha="center", va="center", fontsize=5, transform=ax.transAxes)
    else:
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw, so that one missing log does not stop the other figures."""
    figure = Figure(figsize=(COLUMN_IN, 1))
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


ENDINGS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The formats of a figure, each with the metadata fields to blank."""


def save(figure: Figure, stem: Path) -> None:
    """Write <stem>.png (300 dpi), <stem>.svg and <stem>.pdf, all free of dates and of random identifiers."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what has been laid out once is laid out alike in every format
    for kind, metadata in ENDINGS.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
        write_atomic(f"{stem}.{kind}", buffer.getvalue())
