"""D's outputs for training, held-out and generated images over training (after arXiv:2006.06676, fig. 1b, c).

Where D overfits, the outputs for held-out images leave those for training images and join the fakes.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from leangan.artefacts import training_panels
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.style import GREY, Look
from leangan.results.method_looks import BLUE, ORANGE

OUTPUTS = {
    "d_real": ("training images", Look(BLUE.print)),
    "d_valid": ("held-out images", Look(ORANGE.print, (0, (4, 1.5)))),
    "d_fake": ("generated images", Look(GREY, (0, (1, 1)))),
}


def draw(artefact: Artefact, rows_dir: Path) -> Figure:
    """Small multiples: a column per method, a row per setting, one y axis for all."""
    return training_panels.draw(artefact, rows_dir, artefact.main_columns, OUTPUTS, "D output (logit)", level=0)
