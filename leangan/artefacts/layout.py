"""The layout of an artefact: what config/artefacts/*.yaml says of its table and figures.

layout:
  caption: text before the generated sentence about the protocol   (default: the title)
  metrics: [fd, precision, recall]    families, one group of columns each; the first one chooses the best
                                      snapshot of a run for all of them    (default: all that were measured)
  training: [images_per_s, accuracy_real]   more columns, from the training log (optional);
                                      leangan/results/training_log.py has their names;
                                      only where the grids of the artefact have titles
  published:                          the paper's numbers beside the measured ones (optional)
    where: {paper: DiffAugment (2006.10738), artefact: Table 4, model: BigGAN}   columns of published.csv; a list of
                                      values: one of them
    methods: {none: baseline, diffaugment: DiffAugment}                our name: the paper's
    datasets: {ffhq: ffhq 256}
  sweep:                              what the figure `sweep` draws (optional)
    x: da.p                           one argument of a plugin, or preset.<key> (first entry of a list)
    label: augmentation probability   below the x axis
    scale: log                        of the x axis (optional)
    lines: {cutout: [da-cutout-0.2, da-cutout-0.4]}   label: methods
    levels: {baseline: [none]}        horizontal lines, each at the best mean of its methods (optional)
    panels: lines                     a panel per line instead of one per setting (optional)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from leangan.core.errors import ConfigError, check_names
from leangan.metrics.families import check_families
from leangan.results.training_log import TRAINING

LAYOUT = ["caption", "metrics", "training", "published", "sweep"]
SWEEP = ["x", "label", "scale", "lines", "levels", "panels"]


def check_layout(content: dict[str, Any], methods: Iterable[str], titled: bool, where: str) -> dict[str, Any]:
    """The layout of an artefact with these methods; `titled`: each of its grids has a title.

    Raises ConfigError where it has an unknown key or value, or columns that a table of its kind does not have.
    """
    layout = content.get("layout", {})
    check_names("key of layout", layout, LAYOUT, where)
    check_families(layout.get("metrics", []), f"layout.metrics of {where}", "metric family")
    check_names("quantity", layout.get("training", []), TRAINING, f"layout.training of {where}")
    if sweep := layout.get("sweep"):
        _check_sweep(sweep, methods, f"layout.sweep of {where}")
    if (layout.get("published") and titled) or (layout.get("training") and not titled):
        raise ConfigError(
            f"{where}: a table of titled grids has columns of `training`, any other those of `published`: "
            "leave one out of the layout, or the titles out of the grid."
        )
    return layout


def _check_sweep(sweep: dict[str, Any], methods: Iterable[str], where: str) -> None:
    for key in ("x", "lines"):
        if key not in sweep:
            raise ConfigError(f"{where} lacks {key}.")
    check_names("key", sweep, SWEEP, where)
    for members in [*sweep["lines"].values(), *sweep.get("levels", {}).values()]:
        check_names("method", members, methods, where)
