"""Leak rates over the probability p of an augmentation (after arXiv:2006.06676, fig. 3).

Only below p = 1 can a G know which images are augmented ones. The range among the reals is narrow, so that a G that
draws no clean shapes leaves it as well: the baseline is what training at this length gives without augmentation.
"""

from __future__ import annotations

from math import isnan
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.artefacts.panels import legend
from leangan.core.spec import RunSpec
from leangan.results.method_looks import BLUE, GREEN, VERMILION

BASELINE = "none"
LOOKS = {
    "scale": ("isotropic scaling", style.Look(BLUE.print, marker="o")),
    "rotate90": ("90-degree rotations", style.Look(VERMILION.print, (0, (4, 1.5)), marker="s")),
    "color": ("colour transforms", style.Look(GREEN.print, (0, (1, 1)), marker="^")),
}
OTHER = style.Look(style.GREY, marker="D")


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """A panel per attribute, a line per augmentation: mean and range over seeds at the last snapshot."""
    columns = [column for column in artefact.columns if any(map(column.finished_runs, artefact.methods))]
    found = {spec.method: swept for spec in artefact.specs if (swept := strength(spec))}
    if not found:
        return style.message("No method of this artefact augments with a fixed p.")
    figure, axes = style.panels(1, len(columns), 2.3, style.TEXT_IN, sharey=True)
    for ax, column in zip(axes[0], columns, strict=True):
        if baseline := finals(column, BASELINE):
            ax.axhline(fmean(baseline), color=style.GREY, linewidth=1, linestyle=(0, (4, 1.5)), label="no augmentation")
        for group in dict.fromkeys(group for group, _ in found.values()):
            by_p = {p: finals(column, method) for method, (name, p) in found.items() if name == group}
            label, look = LOOKS.get(group, (group, OTHER))
            style.seeds(ax, {p: by_p[p] for p in sorted(by_p) if by_p[p]}, look, label)
        ax.set(xlim=(0, 1.02), ylim=(0, 1), xlabel="probability $p$ of the augmentation")
        style.title(ax, column.metric.label.split(" (")[0])
    axes[0][0].set_ylabel("share of generated images\noutside the reals' range")
    legend(figure, 4)
    return figure


def finals(column: Column, method: str) -> list[float]:
    """The values at the last snapshot of each run of a method, as far as it has any."""
    return [run.final for run in column.finished_runs(method) if not isnan(run.final)]


def strength(spec: RunSpec) -> tuple[str, float] | None:
    """(augmentation, p) of a run whose only plugin augments with a fixed p; None for any other run."""
    ((plugin, args),) = spec.plugins if len(spec.plugins) == 1 else [("", {})]
    argument = {"da": "categories", "single_transform": "transform"}.get(plugin)
    return (args[argument], args["p"]) if argument else None
