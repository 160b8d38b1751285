"""Augmentation probability p and overfitting heuristic r_t over training (arXiv:2006.06676, fig. 5)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.training_log import seed_range
from suite.spec import RunSpec

QUANTITIES = {"p": "augmentation\nprobability $p$", "r_t": "overfitting\nheuristic $r_t$"}
TARGET = 0.6
"""The r_t that ADA aims at unless it is told otherwise (arXiv:2006.06676, sec. 3.1)."""


def draw(artefact: Artefact, rows: Path) -> Figure:
    """p above, r_t below with its target; a column per setting. Only methods that log p or r_t appear."""
    settings = artefact.main_columns
    styles = style.method_styles(artefact.all_methods)
    values = {
        (i, method, key): curve
        for i, column in enumerate(settings)
        for method in artefact.main_methods
        for key in QUANTITIES
        if (curve := seed_range(rows, column.done(method), key)) is not None
    }
    if not values:
        return style.message("No method of this artefact logs p or r_t.")
    width = style.TEXT_IN if len(settings) > 1 else style.COLUMN_IN
    figure, axes = style.panels(2, len(settings), 2.9, width, sharex="col", sharey="row")
    for (i, method, key), curve in values.items():
        ax, look = axes[list(QUANTITIES).index(key)][i], styles[method]
        ax.plot(
            curve.index,
            curve["mean"],
            color=look.color,
            linestyle=look.linestyle,
            label=artefact.methods[method],
        )
        ax.fill_between(curve.index, curve["min"], curve["max"], color=look.color, alpha=0.15, linewidth=0)
    # p has no upper bound; what the pipeline derives from it saturates at 1.
    p_top = max([1.0, *(curve["max"].max() for (_, _, key), curve in values.items() if key == "p")])
    for column, p_axis, r_axis in zip(settings, *axes, strict=True):
        p_axis.set_title(column.title)
        p_axis.set_ylim(0, p_top)
        for target in targets(artefact.specs):
            r_axis.axhline(target, color=style.GREY, linewidth=0.8, linestyle=(0, (5, 3)))
            r_axis.annotate(f"target {target:g}", (0, target), (3, 2), xycoords=("axes fraction", "data"),
                            textcoords="offset points", color=style.GREY, fontsize=6)  # fmt: skip
        r_axis.set_ylim(-1, 1)
        r_axis.set_xlim(left=0)
        r_axis.set_xlabel("images shown to D (kimg)")
    for row, label in zip(axes, QUANTITIES.values(), strict=True):
        row[0].set_ylabel(label)
    handles = {
        label: line for row in axes for ax in row for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    return figure


def targets(specs: list[RunSpec]) -> list[float]:
    """The distinct targets of r_t among the runs that have ADA's controller, sorted."""
    return sorted({args.get("target", TARGET) for spec in specs for name, args in spec.plugins if name == "ada"})
