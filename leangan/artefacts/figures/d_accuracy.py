"""D's accuracy on training and held-out images (after arXiv:2006.10738, fig. 1) and on fakes (sec. 3.1).

A D that overfits keeps the first and loses the second; most settings of that paper hold out none. Where fakes are
augmented in D's step only, D may tell those from reals and still be wrong on the plain fakes of G's step, from which G
learns.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import training_panels
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.style import Look
from leangan.results.method_looks import BLUE, GREEN, ORANGE, VERMILION

ACCURACIES = {
    "accuracy_real": ("training images", Look(BLUE.print)),
    "accuracy_held_out": ("held-out images", Look(GREEN.print, (0, (4, 1, 1, 1)))),
    "accuracy_fake_d": ("fakes, D's step", Look(ORANGE.print, (0, (4, 1.5)))),
    "accuracy_fake_g": ("fakes, G's step", Look(VERMILION.print, (0, (1, 1)))),
}


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """Small multiples: a column per method, a row per setting. Images as D sees them, augmented or not."""
    complete = [column for column in artefact.main_columns if all(map(column.runs_of, artefact.main_methods))]
    settings = complete or artefact.main_columns
    figure = training_panels.draw(artefact, rows_dir, settings, ACCURACIES, "accuracy of D", level=0.5)
    for ax in figure.axes:
        ax.set_ylim(0, 1)
    return figure
