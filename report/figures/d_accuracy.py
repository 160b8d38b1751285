"""D's accuracy on training images, on the fakes of its own step and on those of G's (after arXiv:2006.10738, sec. 3.1).

Where fakes are augmented in D's step only, D may tell those from reals and still be wrong on the plain fakes of G's
step, from which G learns.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from report import style
from report.artefact import Artefact
from report.training_log import seed_range

ACCURACIES = {
    "accuracy_real": ("training images", "#0072B2", "-"),
    "accuracy_fake_d": ("fakes, D's step", "#E69F00", (0, (4, 1.5))),
    "accuracy_fake_g": ("fakes, G's step", "#D55E00", (0, (1, 1))),
}


def draw(artefact: Artefact, rows: Path) -> Figure:
    """Small multiples: a column per method, a row per setting. Images as D sees them, augmented or not."""
    settings, methods = artefact.main_columns, artefact.main_methods
    settings = [column for column in settings if all(map(column.of, methods))] or settings
    figure, axes = style.panels(len(settings), len(methods), 0.7 + 1.45 * len(settings), sharex="row", sharey=True)
    for line, column in zip(axes, settings, strict=True):
        for ax, method in zip(line, methods, strict=True):
            for key, (label, color, dashes) in ACCURACIES.items():
                values = seed_range(rows, column.done(method), key)
                if values is None:
                    continue
                ax.plot(values.index, values["mean"], color=color, linestyle=dashes, label=label)
                ax.fill_between(values.index, values["min"], values["max"], color=color, alpha=0.15, linewidth=0)
            ax.axhline(0.5, color="black", linewidth=0.5)
            ax.set_ylim(0, 1)
            ax.set_xlim(left=0)
        line[0].set_ylabel("accuracy of D" if len(settings) == 1 else f"accuracy of D\n{column.title}")
    for ax, title in zip(axes[0], methods.values(), strict=True):
        ax.set_title(title.replace(" (", "\n("))
    figure.supxlabel("images shown to D (kimg)", fontsize=7)
    handles = {
        label: line for row in axes for ax in row for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return figure
