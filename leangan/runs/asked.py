"""An artefact as a configuration asks for it: with the presets, methods, classes and arguments in place of its own."""

from __future__ import annotations

from typing import Any

from leangan.runs.artefact_sections import ArtefactConfig, Grid, Sweep
from leangan.runs.sections import Config


def asked(content: ArtefactConfig, config: Config) -> ArtefactConfig:
    """`content` with the `preset`, `only_methods` and `conditional` of `config`, and the arguments of its scale.

    Its figures then draw, of the methods that they name, those that are left.
    """
    changes: dict[str, Any] = {}
    if of_scale := content.at(config.scale).method_args:
        changes["method_args"] = {**content.method_args, **of_scale}
    if config.conditional is not None:
        changes["conditional"] = config.conditional
    if config.preset is not None or config.only_methods:
        changes["grid"] = _distinct([_replaced(grid, config) for grid in content.grid])
    if config.only_methods:
        left = [*config.only_methods, *config.methods]
        changes["figures"] = _figures_of(content, left)
        if content.layout.sweep is not None:
            changes["layout"] = content.layout.model_copy(update={"sweep": _sweep_of(content.layout.sweep, left)})
    return content.model_copy(update=changes) if changes else content


def _replaced(grid: Grid, config: Config) -> Grid:
    preset = [config.preset] if config.preset is not None else grid.preset
    return grid.model_copy(update={"preset": preset, "method": config.only_methods or grid.method})


def _distinct(grids: list[Grid]) -> list[Grid]:
    """The grids without those that only their title sets apart from an earlier one."""
    first: dict[str, Grid] = {}
    for grid in grids:
        first.setdefault(grid.model_dump_json(exclude={"title"}), grid)
    return list(first.values())


def _figures_of(content: ArtefactConfig, left: list[str]) -> dict[str, list[str] | None]:
    """The figures with the methods that they name and that are left; a figure of none of them is left out."""
    drawn = {kind: names and [name for name in names if name in left] for kind, names in content.figures.items()}
    return {kind: names for kind, names in drawn.items() if names != []}


def _sweep_of(sweep: Sweep, left: list[str]) -> Sweep:
    """The sweep with the methods that are left; a line of none of them is left out."""

    def kept(lines: dict[str, list[str]]) -> dict[str, list[str]]:
        own = {label: [name for name in names if name in left] for label, names in lines.items()}
        return {label: names for label, names in own.items() if names}

    return sweep.model_copy(update={"lines": kept(sweep.lines), "levels": kept(sweep.levels)})
