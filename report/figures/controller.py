"""Augmentation probability p and overfitting heuristic r_t or r_v over training (arXiv:2006.06676, fig. 5)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.training_log import seed_range
from suite.spec import RunSpec

QUANTITIES = {
    "p": "augmentation\nprobability $p$",
    "r_t": "overfitting\nheuristic $r_t$",
    "r_v": "overfitting\nheuristic $r_v$",
}
TARGETS = {"r_t": 0.6, "r_v": 0.5}
"""What ADA aims at unless it is told otherwise (arXiv:2006.06676, sec. 3.1)."""


def draw(artefact: Artefact, rows: Path) -> Figure:
    """p above, r_t or r_v below with its target; a column per setting. Only methods that log one of them appear."""
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
        return style.message("No method of this artefact logs p, r_t or r_v.")
    shown = [key for key in QUANTITIES if key in {key for _, _, key in values}]
    width = style.TEXT_IN if len(settings) > 1 else style.COLUMN_IN
    figure, axes = style.panels(len(shown), len(settings), 1.45 * len(shown), width, sharex="col", sharey="row")
    for (i, method, key), curve in values.items():
        ax, look = axes[shown.index(key)][i], styles[method]
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
    for key, row in zip(shown, axes, strict=True):
        row[0].set_ylabel(QUANTITIES[key])
        for ax in row:
            for target in targets(artefact.specs, key):
                ax.axhline(target, color=style.GREY, linewidth=0.8, linestyle=(0, (5, 3)))
                ax.annotate(f"target {target:g}", (0, target), (3, 2), xycoords=("axes fraction", "data"),
                            textcoords="offset points", color=style.GREY, fontsize=6)  # fmt: skip
            ax.set_ylim(*{"p": (0, p_top), "r_t": (-1, 1), "r_v": (0, 1)}[key])
            ax.set_xlim(left=0)
    for column, top, bottom in zip(settings, axes[0], axes[-1], strict=True):
        top.set_title(column.title)
        bottom.set_xlabel("images shown to D (kimg)")
    handles = {
        label: line for row in axes for ax in row for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    return figure


def targets(specs: list[RunSpec], heuristic: str) -> list[float]:
    """The distinct targets of the runs that ADA steers by `heuristic`, "r_t" or "r_v", sorted."""
    arguments = [args for spec in specs for name, args in spec.plugins if name == "ada"]
    steered = [args for args in arguments if f"r_{args.get('heuristic', 'rt')[1:]}" == heuristic]
    return sorted({args.get("target", TARGETS[heuristic]) for args in steered})
