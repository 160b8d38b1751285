"""How far D has learned its training images by heart, over images shown to D: r_v of arXiv:2006.06676, eq. 1.

r_v = (E[D(train)] - E[D(held out)]) / (E[D(train)] - E[D(fake)]): 0 where held-out images look to D like those it was
trained on, 1 where they look like generated ones.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.results import Run
from report.training_log import read_log

WINDOWS = 9
"""Points of a line. Each stands for a ninth of the run, since the quotient of few noisy outputs means little."""

OUTPUTS = ["d_real", "d_valid", "d_fake"]


def draw(artefact: Artefact, rows: Path) -> Figure:
    """One panel per setting, one line per method: the mean over seeds, their range shaded."""
    settings = artefact.main_columns
    styles = style.method_styles(artefact.all_methods)
    width = style.TEXT_IN if len(settings) > 1 else style.COLUMN_IN
    figure, axes = style.panels(1, len(settings), 2.5, width, sharey=True)
    for ax, column in zip(axes[0], settings, strict=True):
        for method, title in artefact.main_methods.items():
            curves = [r_v for run in column.done(method) if len(r_v := overfitting(rows, run))]
            if not curves:
                continue
            table, look = pd.concat(curves, axis=1, join="inner"), styles[method]
            ax.plot(table.index, table.mean(axis=1), color=look.color, linestyle=look.linestyle, label=title)
            low, high = table.min(axis=1), table.max(axis=1)
            ax.fill_between(table.index, low, high, color=look.color, alpha=0.15, linewidth=0)
        for level in (0, 1):
            ax.axhline(level, color=style.GREY, linewidth=0.8, linestyle=(0, (5, 3)))
        ax.set_ylim(-0.25, 1.5)
        ax.set_xlim(left=0)
        ax.set_title(column.title)
        ax.set_xlabel("images shown to D (kimg)")
    axes[0][0].set_ylabel("overfitting of D, $r_v$ ↓")
    handles = {label: line for ax in axes[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4 if len(settings) == 1 else 7)
    return figure


def overfitting(rows: Path, run: Run) -> pd.Series:
    """r_v of a run by the kimg at which each window ends; empty where no held-out images were shown."""
    log = read_log(rows, run.run)
    if not set(OUTPUTS) <= set(log) or log["d_valid"].isna().all():
        return pd.Series(dtype=float)
    width = run.final_kimg / WINDOWS
    # A tick ends at its kimg; rounding of k * width must not push it into the next window.
    window = ((log.index / width - 1e-6).astype(int) + 1) * width
    means = log[OUTPUTS].astype(float).groupby(window).mean()
    return (means["d_real"] - means["d_valid"]) / (means["d_real"] - means["d_fake"])
