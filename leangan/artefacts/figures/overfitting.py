"""How far D has learned its training images by heart, over images shown to D: r_v of arXiv:2006.06676, eq. 1.

r_v = (E[D(train)] - E[D(held out)]) / (E[D(train)] - E[D(fake)]): 0 where held-out images look to D like those it was
trained on, 1 where they look like generated ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.panels import KIMG, kimg_axis, legend, panels
from leangan.results.measured_runs import Run, mean_and_range
from leangan.results.training_log import read_log

WINDOWS = 9
"""At most so many points in a line, each of several lines of the log: a quotient of few noisy outputs means little."""

LEAST = 0.1
"""Of E[D(train)] - E[D(fake)], in logits. Below it D tells nothing apart, the quotient is noise and the line breaks."""

OUTPUTS = ["d_real", "d_valid", "d_fake"]


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """The panels of leangan/artefacts/panels.py: mean and range over seeds where all of them have a value."""
    drawn = panels(artefact)
    figure, axes = style.wrap_panels(len(drawn), 2.5 if len(drawn) <= 4 else 1.9, sharey=True)
    for ax, (title, lines) in zip(axes, drawn, strict=True):
        for line in lines:
            curves = [r_v for run in line.runs if len(r_v := overfitting(rows_dir, run))]
            if curves:
                everywhere = pd.concat(curves, axis=1).notna().all(axis=1)
                style.curve(ax, mean_and_range(curves).where(everywhere), line.look, line.label)
        for level in (0, 1):
            ax.axhline(level, color=style.GREY, linewidth=0.8, linestyle=(0, (5, 3)))
        ax.set_ylim(-0.25, 1.5)
        style.title(ax, title)
        kimg_axis(ax)
        ax.set_xlabel(KIMG)
        if style.is_leftmost(ax):
            ax.set_ylabel("overfitting of D, $r_v$ ↓")
    legend(figure, 3 if len(axes) == 1 else 7)
    return figure


def overfitting(rows_dir: Path, run: Run) -> pd.Series:
    """r_v of a run by the kimg of the last tick of each window; empty where no held-out images were shown."""
    log = read_log(rows_dir, run.run)
    if not set(OUTPUTS) <= set(log) or log["d_valid"].isna().all():
        return pd.Series(dtype=float)
    window = np.arange(len(log)) * min(WINDOWS, len(log)) // len(log)
    means = log[OUTPUTS].astype(float).groupby(window).mean()
    means.index = log.index.to_series().groupby(window).last()
    apart = means["d_real"] - means["d_fake"]
    return ((means["d_real"] - means["d_valid"]) / apart).where(apart >= LEAST)
