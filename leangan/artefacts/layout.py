"""Whether the layout of an artefact (`Layout` in leangan/runs/artefact_sections.py) names what its table can show."""

from __future__ import annotations

from collections.abc import Iterable

from leangan.core.errors import ConfigError, check_names
from leangan.metrics.families import check_families
from leangan.results.training_log import TRAINING
from leangan.runs.artefact_sections import Layout


def check_layout(layout: Layout, methods: Iterable[str], titled: bool, where: str) -> None:
    """Raise ConfigError where a layout names a metric, quantity or method that there is not.

    `methods` are those of the artefact; `titled`: each of its grids has a title. Columns that a table of its kind does
    not have are an error, too.
    """
    check_families(layout.metrics, f"layout.metrics of {where}", "metric family")
    check_names("quantity", layout.training, TRAINING, f"layout.training of {where}")
    if layout.sweep is not None:
        for members in [*layout.sweep.lines.values(), *layout.sweep.levels.values()]:
            check_names("method", members, methods, f"layout.sweep of {where}")
    if (layout.published and titled) or (layout.training and not titled):
        raise ConfigError(
            f"{where}: a table of titled grids has columns of `training`, any other those of `published`: "
            "leave one out of the layout, or the titles out of the grid."
        )
