"""Augmentation probability p and overfitting heuristic r_t or r_v over training (arXiv:2006.06676, fig. 5)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.panels import KIMG, kimg_axis, legend, panels
from leangan.core.spec import RunSpec
from leangan.results.training_log import seed_range

QUANTITIES = {
    "p": "augmentation\nprobability $p$",
    "r_t": "overfitting\nheuristic $r_t$",
    "r_v": "overfitting\nheuristic $r_v$",
}


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """p above, r_t or r_v below with its target; columns as in leangan/artefacts/panels.py.

    Only methods that log one of them appear.
    """
    drawn = panels(artefact)
    curves = {
        (key, i): [(line, curve) for line in lines if (curve := seed_range(rows_dir, line.runs, key)) is not None]
        for key in QUANTITIES
        for i, (_, lines) in enumerate(drawn)
    }
    shown = [key for key in QUANTITIES if any(curves[key, i] for i in range(len(drawn)))]
    if not shown:
        return style.message("No method of this artefact logs p, r_t or r_v.")
    width = style.TEXT_IN if len(drawn) > 1 else style.COLUMN_IN
    figure, axes = style.panels(len(shown), len(drawn), 1.45 * len(shown), width, sharex="col", sharey="row")
    # p has no upper bound; what the pipeline derives from it saturates at 1.
    p_top = max([1.0, *(curve["max"].max() for i in range(len(drawn)) for _, curve in curves["p", i])])
    for key, row in zip(shown, axes, strict=True):
        row[0].set_ylabel(QUANTITIES[key])
        for i, ax in enumerate(row):
            for line, curve in curves[key, i]:
                style.curve(ax, curve, line.look, line.label)
            for target in targets(artefact.specs, key):
                ax.axhline(target, color=style.GREY, linewidth=0.8, linestyle=(0, (5, 3)))
                ax.annotate(f"target {target:g}", (0, target), (3, 2), xycoords=("axes fraction", "data"),
                            textcoords="offset points", color=style.GREY, fontsize=6)  # fmt: skip
            ax.set_ylim(*{"p": (0, p_top), "r_t": (-1, 1), "r_v": (0, 1)}[key])
    for (title, _), top, bottom in zip(drawn, axes[0], axes[-1], strict=True):
        style.title(top, title)
        kimg_axis(bottom)
        bottom.set_xlabel(KIMG)
    legend(figure, 3 if len(drawn) == 1 else 6)
    return figure


def targets(specs: list[RunSpec], heuristic: str) -> list[float]:
    """The distinct targets of the runs that ADA steers by `heuristic`, "r_t" or "r_v", sorted."""
    arguments = [args for spec in specs for name, args in spec.plugins if name == "ada"]
    return sorted({args["target"] for args in arguments if args["heuristic"] == heuristic.replace("_", "")})
