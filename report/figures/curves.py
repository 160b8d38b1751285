"""Distance over images shown to D, one line per method (the layout of arXiv:2006.06676, fig. 1a)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from report import style
from report.artefact import Artefact, Column
from report.results import mean_curve


def draw(artefact: Artefact, rows: Path) -> Figure:
    """One panel per setting, from the values of the artefact alone."""
    columns = artefact.main_columns
    styles = style.method_styles(artefact.all_methods)
    width = style.TEXT_IN if len(columns) > 1 else style.COLUMN_IN
    figure, axes = style.panels(1, len(columns), 2.5, width, sharey=True)
    for ax, column in zip(axes[0], columns, strict=True):
        for method in artefact.main_methods:
            _line(ax, column, method, styles[method])
        ax.set_title(column.title)
        ax.set_xlabel("images shown to D (kimg)")
        ax.set_xlim(0, max(kimg for run in column.runs for kimg, _ in run.curve))
    distance_axis(axes[0][0], columns[0])
    handles = [
        Line2D([], [], color=styles[name].color, linestyle=styles[name].linestyle, label=title)
        for name, title in artefact.main_methods.items()
    ]
    lowest = "highest" if columns[0].metric.higher_is_better else "lowest"
    handles.append(Line2D([], [], color=style.GREY, marker="o", markerfacecolor="white", linestyle="none",
                          label=f"{lowest} mean"))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3 if len(columns) == 1 else 7))
    return figure


def _line(ax: Axes, column: Column, method: str, look: style.MethodStyle) -> None:
    """Mean over seeds, their range shaded, the best snapshot of the mean marked."""
    runs = column.done(method)
    if not runs:
        return
    curve = mean_curve(runs) * column.metric.shown(1.0)
    ax.plot(curve.index, curve["mean"], color=look.color, linestyle=look.linestyle)
    if len(runs) > 1:
        ax.fill_between(curve.index, curve["min"], curve["max"], color=look.color, alpha=0.15, linewidth=0)
    best = curve["mean"].idxmax() if column.metric.higher_is_better else curve["mean"].idxmin()
    ax.plot(best, curve["mean"][best], "o", color=look.color, markerfacecolor="white", zorder=3, clip_on=False)


def distance_axis(ax: Axes, column: Column) -> None:
    """Distances span decades and get a logarithmic axis with plain numbers; scores a linear one."""
    proxy = ", proxy" if column.proxy else ""
    ax.set_ylabel(f"{column.metric.label}{proxy} {column.metric.arrow}")
    if column.metric.family in ("fid", "fd"):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        ax.yaxis.set_minor_locator(NullLocator())
