"""From artefacts to what they need: the runs of each, with the protocol they are measured under or why they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suite.config import artefact
from suite.spec import RunSpec, expand, refusal


@dataclass(frozen=True)
class Cell:
    """One run that an artefact needs, measured under `protocol`; `refused` is (status, reason) or None.

    A run that others start from and no table shows has no protocol: it is trained and not measured.
    """

    spec: RunSpec
    protocol: str | None
    refused: tuple[str, str] | None


def cells(config: dict[str, Any]) -> dict[str, list[Cell]]:
    """The cells of every artefact in `config`, by its name; a run that several need has the same id in each."""
    refusals: dict[str, tuple[str, str] | None] = {}

    def refused(spec: RunSpec) -> tuple[str, str] | None:
        if spec.run_id not in refusals:
            refusals[spec.run_id] = refusal(spec)
            if spec.source and (source := refused(spec.source)) and not refusals[spec.run_id]:
                refusals[spec.run_id] = source[0], f"{spec.source.run_id}, which it starts from: {source[1]}"
        return refusals[spec.run_id]

    result = {}
    for name in config["artefacts"]:
        specs = {spec.run_id: spec for spec in expand(name, config)}
        sources: dict[str, RunSpec] = {}
        for spec in specs.values():
            while (spec := spec.source) and spec.run_id not in specs:
                sources[spec.run_id] = spec
        members = [(spec, None) for spec in sources.values()]
        members += [(spec, artefact(name)["protocol"]) for spec in specs.values()]
        result[name] = [Cell(spec, protocol, refused(spec)) for spec, protocol in members]
    return result
