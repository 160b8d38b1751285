"""Runs in which every method of the suite takes part."""

from __future__ import annotations

from functools import cache

from leangan.core.spec import TRANSFER, RunSpec
from leangan.runs.config import configured
from leangan.runs.grid import expand, refusal


@cache
def runs() -> dict[str, RunSpec]:
    """Runs of the artefact of all methods, so few that every plugin is seen with each backbone that it has there."""
    found, seen = {}, set()
    for spec in expand("methods-demo", configured(scale="demo")):
        plugins = {(spec.backbone, name) for name, _ in spec.plugins}
        # A transfer reads the networks it starts from.
        if (spec.backbone, TRANSFER) not in plugins and not plugins <= seen and refusal(spec) is None:
            seen |= plugins
            found[f"{spec.backbone}-{spec.method}"] = spec
    return found
