"""Which panel shows what: one per setting with a line per method, the layout of most of the papers' figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.metrics.families import known_families
from leangan.results.measured_runs import Run


@dataclass(frozen=True)
class MethodLine:
    """A method in a setting, and how it is drawn; `unranked` says why its numbers do not rank it (`results.judges`)."""

    label: str
    look: style.Look
    column: Column
    runs: list[Run]
    unranked: str


def panels(artefact: Artefact) -> list[tuple[str, list[MethodLine]]]:
    """Title and lines of each panel: one per setting with a line per method.

    Of one method in several settings there is one panel with a line per setting (arXiv:2006.06676, fig. 1a).
    """
    columns, methods = artefact.main_columns, artefact.main_methods
    if len(methods) == 1 and len(columns) > 1:
        ((method, title),) = methods.items()
        shades = style.graded_looks(len(columns))
        lines = [
            MethodLine(c.title, look, c, c.finished_runs(method), artefact.unranked(c, method))
            for c, look in zip(columns, shades, strict=True)
        ]
        return [(title, lines)]
    looks = style.method_looks(list(methods))
    return [
        (
            c.title,
            [
                MethodLine(title, looks[name], c, runs, artefact.unranked(c, name))
                for name, title in methods.items()
                if (runs := c.finished_runs(name))
            ],
        )
        for c in columns
    ]


def marked(name: str, unranked: object) -> str:
    """The name of a line of numbers; one whose numbers do not rank its method says so."""
    return f"{name} (not ranked)" if unranked else name


KIMG = "images shown to D (kimg)"


def distance_axis(ax: Axes, column: Column) -> None:
    """The label of the values' axis, and where the family says so logarithmic steps with plain numbers."""
    proxy = ", proxy" if column.proxy else ""
    ax.set_ylabel(f"{column.metric.label}{proxy} {column.metric.arrow}")
    if known_families()[column.metric.family].log_axis:
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 8 * low else (1, 1.5, 2, 3, 5, 7)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
        ax.yaxis.set_minor_locator(NullLocator())


def kimg_axis(ax: Axes) -> None:
    """Training length from 0 to the end of the runs, in thousands of images; for after the curves."""
    ax.margins(x=0)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(5 if ax.get_xlim()[1] < 10_000 else 3, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda kimg, _: f"{kimg:,.9g}"))


def legend(
    figure: Figure, columns: int, loc: Literal["outside lower center", "outside upper center"] = "outside lower center"
) -> None:
    """One legend for all panels, each label once, in lines of up to `columns` entries as far as these fit."""
    handles = {label: line for ax in figure.axes for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if not handles:
        return
    entry_in = 0.45 + 0.055 * max(map(len, handles))
    columns = max(1, min(columns, int(figure.get_figwidth() / entry_in)))
    lines = -(-len(handles) // columns)
    figure.legend(handles.values(), handles.keys(), loc=loc, ncols=-(-len(handles) // lines))
