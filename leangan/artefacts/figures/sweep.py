"""Best distance over one argument of a method or preset: `sweep` of the layout, leangan/runs/artefact_sections.py.

The layout of arXiv:2006.06676, fig. 4a-c (strength), 5a, b (targets) and 8b (width of D), and of arXiv:2006.10738,
fig. 8 (width of BigGAN, weight of R1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.artefacts.panels import distance_axis, legend, marked
from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.runs.artefact_sections import Sweep

DASHES = [(0, (1, 2)), (0, (4, 1.5)), (0, (4, 1, 1, 1))]


@dataclass(frozen=True)
class SweepLine:
    """The runs of `methods`, those of one of the sweep's `lines`, in one setting."""

    label: str
    look: style.Look
    methods: list[str]
    column: Column


@dataclass(frozen=True)
class SweepPanel:
    """`levels` are the settings whose levels are drawn, each with its colour."""

    title: str
    lines: list[SweepLine]
    levels: list[tuple[str, Column]]


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """A panel per setting with a line per entry of the sweep's `lines`, or with `panels: lines` the reverse."""
    sweep, settings = artefact.sweep, artefact.main_columns
    if sweep is None:
        raise ConfigError(f"the figure 'sweep' of {artefact.where} needs a `sweep` in its layout.")
    panels = _panels(artefact, sweep)
    figure, axes = style.wrap_panels(len(panels), 2.5, sharey=True)
    swept: set[float] = set()
    levels: dict[str, tuple] = {}
    for ax, panel in zip(axes, panels, strict=True):
        for line in panel.lines:
            points = values(artefact, sweep, line.column, line.methods)
            style.seeds(ax, points, line.look, line.label)
            swept |= set(points)
        for (name, methods), dashes in zip(sweep.levels.items(), DASHES, strict=False):
            for color, column in panel.levels:
                if (best := level(artefact, column, methods)) is not None:
                    ax.axhline(best, color=color, linestyle=dashes, linewidth=0.9)
                    levels.setdefault(name, dashes)
        style.title(ax, panel.title)
        ax.set_xlabel(sweep.label or sweep.x)
        if style.is_leftmost(ax):
            distance_axis(ax, settings[0])
    for ax in axes:
        if sweep.scale == "log":
            ax.set_xscale("log")
            ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_locator(FixedLocator(sorted(swept)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    for name, dashes in levels.items():
        axes[-1].plot([], [], color=style.GREY, linestyle=dashes, linewidth=0.9, label=name)
    legend(figure, 3 if len(axes) == 1 else 6)
    return figure


def _panels(artefact: Artefact, sweep: Sweep) -> list[SweepPanel]:
    """One per setting with a line per entry of `lines`, or the reverse."""
    settings = artefact.main_columns
    named = {marked(name, _unranked(artefact, methods)): methods for name, methods in sweep.lines.items()}
    if sweep.panels == "lines":
        shades = list(zip(settings, style.graded_looks(len(settings)), strict=True))
        return [
            SweepPanel(
                title=name,
                lines=[SweepLine(column.title, look, methods, column) for column, look in shades],
                levels=[(look.color, column) for column, look in shades if any(map(column.finished_runs, methods))],
            )
            for name, methods in named.items()
        ]
    looks = [style.Look(color) for color in style.PALETTE]
    return [
        SweepPanel(
            title=column.title,
            lines=[
                SweepLine(name, look, methods, column)
                for (name, methods), look in zip(named.items(), looks, strict=False)
            ],
            levels=[("black", column)],
        )
        for column in settings
    ]


def _unranked(artefact: Artefact, methods: list[str]) -> bool:
    """Whether numbers of these methods are drawn that do not rank them."""
    drawn = ((column, method) for column in artefact.main_columns for method in methods if column.finished_runs(method))
    return any(artefact.unranked(column, method) for column, method in drawn)


def values(artefact: Artefact, sweep: Sweep, column: Column, methods: list[str]) -> dict[float, list[float]]:
    """By the swept argument: the best value of each seed."""
    points: dict[float, list[float]] = {}
    for method in methods:
        for run in column.finished_runs(method):
            at = argument(artefact.spec_of[run.run], sweep, artefact.where)
            points.setdefault(at, []).append(column.metric.in_label_unit(run.best))
    return dict(sorted(points.items()))


def argument(spec: RunSpec, sweep: Sweep, where: str) -> float:
    """The swept argument of a run (first entry of a list); ConfigError if the run has none."""
    part, key = sweep.x.split(".")
    arguments = spec.hyper if part == "preset" else dict(spec.plugins).get(part, {})
    found = arguments.get(key)
    if found is None:
        raise ConfigError(f"method {spec.method!r} has no {sweep.x}. Name another x in {where}.")
    return float(found[0] if isinstance(found, list) else found)


def level(artefact: Artefact, column: Column, methods: list[str]) -> float | None:
    """The best mean of the methods that the column ranks; None where none of them has a number."""
    ranked = [method for method in methods if not artefact.unranked(column, method)]
    bests = [[column.metric.in_label_unit(run.best) for run in column.finished_runs(method)] for method in ranked]
    means = [sum(of_seeds) / len(of_seeds) for of_seeds in bests if of_seeds]
    return (max if column.metric.higher_is_better else min)(means, default=None)
