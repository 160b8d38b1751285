"""D's outputs for training, held-out and generated images over training (after arXiv:2006.06676, fig. 1b, c).

Where D overfits, the outputs for held-out images leave those for training images and join the fakes.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.training_log import seed_range

OUTPUTS = {
    "d_real": ("training images", "#0072B2", "-"),
    "d_valid": ("held-out images", "#E69F00", (0, (4, 1.5))),
    "d_fake": ("generated images", "#666666", (0, (1, 1))),
}


def draw(artefact: Artefact, rows: Path) -> Figure:
    """Small multiples: a column per method, a row per setting, one y axis for all."""
    settings = artefact.main_columns
    methods = artefact.main_methods
    figure, axes = style.panels(len(settings), len(methods), 0.55 + 1.45 * len(settings), sharex="row", sharey=True)
    for line, column in zip(axes, settings, strict=True):
        for ax, method in zip(line, methods, strict=True):
            for key, (label, color, dashes) in OUTPUTS.items():
                values = seed_range(rows, column.done(method), key)
                if values is None:
                    continue
                ax.plot(values.index, values["mean"], color=color, linestyle=dashes, label=label)
                ax.fill_between(values.index, values["min"], values["max"], color=color, alpha=0.15, linewidth=0)
            ax.axhline(0, color="black", linewidth=0.5)
            ax.set_xlim(left=0)
        line[0].set_ylabel("D output (logit)" if len(settings) == 1 else f"D output (logit)\n{column.title}")
    for ax, title in zip(axes[0], methods.values(), strict=True):
        ax.set_title(title)
    figure.supxlabel("images shown to D (kimg)", fontsize=7)
    handles = {
        label: line for row in axes for ax in row for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return figure
