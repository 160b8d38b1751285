"""From artefacts to what they need: the runs of each, with the protocol they are measured under or why they are not."""

from __future__ import annotations

from dataclasses import dataclass

from leangan.core.spec import RunSpec
from leangan.runs.config import artefact
from leangan.runs.grid import expand, refusal
from leangan.runs.sections import Config


@dataclass(frozen=True)
class Cell:
    """One run that an artefact needs, measured under `protocol`; `refused` is (status, reason) or None.

    A run that others start from and no table shows has no protocol: it is trained and not measured.
    """

    spec: RunSpec
    protocol: str | None
    refused: tuple[str, str] | None


def cells(config: Config) -> dict[str, list[Cell]]:
    """The cells of every artefact in `config`, by its name; a run that several need has the same id in each.

    A run that an artefact shows under several labels has a cell for each of them.
    """
    refusals: dict[str, tuple[str, str] | None] = {}

    def refused(spec: RunSpec) -> tuple[str, str] | None:
        if spec.run_id not in refusals:
            refusals[spec.run_id] = refusal(spec, config.path_of(spec.dataset))
            if spec.parent and (parent := refused(spec.parent)) and not refusals[spec.run_id]:
                refusals[spec.run_id] = parent[0], f"{spec.parent.run_id}, which it starts from: {parent[1]}"
        return refusals[spec.run_id]

    result = {}
    for name in config.artefacts:
        specs = expand(name, config)
        shown = {spec.run_id for spec in specs}
        parents: dict[str, RunSpec] = {}
        for spec in specs:
            parent = spec.parent
            while parent and parent.run_id not in shown:
                parents[parent.run_id] = parent
                parent = parent.parent
        members: list[tuple[RunSpec, str | None]] = [(spec, None) for spec in parents.values()]
        members += [(spec, artefact(name).protocol) for spec in specs]
        result[name] = [Cell(spec, protocol, refused(spec)) for spec, protocol in members]
    return result
