"""The command line that makes a run again: which keys of the configuration it needs."""

from __future__ import annotations

from typing import Any

from leangan.core.spec import RunSpec
from leangan.core.yaml_files import read
from leangan.data.known_sets import known_sets
from leangan.plugins import registry
from leangan.runs.artefact_sections import Grid
from leangan.runs.config import artefact
from leangan.runs.grid import kept_at
from leangan.runs.sections import AUTO, Config


def needed_config(spec: RunSpec, name: str, config: Config) -> dict[str, Any]:
    """The keys and values of `config` that the artefact `name` needs to have the run `spec`.

    Keys that only say where or how a run computes are left out, the place of a known data set among them, as are keys
    with the value in config/config.yaml.
    """
    given, defaults = config.given(), read("config/config.yaml")
    needed: dict[str, Any] = {"scale": config.scale}
    entry = given["datasets"].get(spec.dataset, {})
    if spec.dataset in known_sets():
        entry = {key: value for key, value in entry.items() if key != "path"}
    if entry:
        needed["datasets"] = {spec.dataset: entry}
    if config.images:
        needed["images"] = [spec.images]
    content = artefact(name)
    if config.preset is not None or any(AUTO in grid.preset for grid in content.grid):
        needed["preset"] = spec.preset
    if AUTO in (content.conditional, config.conditional) or config.conditional not in (None, content.conditional):
        needed["conditional"] = spec.conditional
    if not any(_holds(grid, spec, name, config, "preset" in needed) for grid in content.grid):
        needed["methods"] = [spec.method]
    if any(registry.find_home(plugin) == "folder" for plugin, _ in spec.plugins):
        needed["method_folders"] = config.method_folders
    for key in ("kimg", "snapshot_kimg", "arithmetic"):
        if given[key] != defaults[key]:
            needed[key] = given[key]
    return needed


def _holds(grid: Grid, spec: RunSpec, name: str, config: Config, preset_given: bool) -> bool:
    """Whether the grid itself, without `methods` of the configuration, has the run.

    `preset_given`: every grid has the run's preset, because the configuration says so.
    """
    kept = kept_at(artefact(name), grid, config.scale)
    return (
        spec.method in kept.method
        and (preset_given or spec.preset in kept.preset)
        and (bool(config.own_sets) or (spec.dataset in kept.dataset and spec.resolution in kept.resolution))
        and (bool(config.images) or spec.images in kept.images)
    )
