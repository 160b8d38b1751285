"""The command line that makes a run again: which keys of the configuration it needs."""

from __future__ import annotations

from typing import Any

from suite import registry
from suite.config import artefact, read
from suite.grid import grids
from suite.spec import RunSpec


def needed_config(spec: RunSpec, name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The keys of `config` under which the artefact `name` has the run `spec`, and what of their values it needs.

    Keys that only say where or how a run computes are left out, and so are those with the value of config/config.yaml.
    """
    needed: dict[str, Any] = {"scale": config["scale"]}
    if spec.dataset in config["datasets"]:
        needed["datasets"] = {spec.dataset: config["datasets"][spec.dataset]}
    if config["images"]:
        needed["images"] = [spec.images]
    if not any(spec.method in grid["method"] for grid in grids(artefact(name))):
        needed["methods"] = [spec.method]
    if any(registry.home(plugin) == "folder" for plugin, _ in spec.plugins):
        needed["method_folders"] = config["method_folders"]
    if config["arithmetic"] != read("config/config.yaml")["arithmetic"]:
        needed["arithmetic"] = config["arithmetic"]
    return needed
