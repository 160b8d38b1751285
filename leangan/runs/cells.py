"""From artefacts to what they need: the runs of each, with the protocol they are measured under or why they are not."""

from __future__ import annotations

from dataclasses import dataclass

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.runs.config import artefact, artefact_names, leave_out
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


class Runs:
    """The runs of artefacts under one configuration. An artefact is expanded when it is first asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._specs: dict[str, list[RunSpec]] = {}
        self._cells: dict[str, list[Cell]] = {}
        self._refusals: dict[str, tuple[str, str] | None] = {}

    def specs(self, name: str) -> list[RunSpec]:
        """The runs that an artefact shows, as `expand` has them. Raises ConfigError where it cannot be expanded."""
        if name not in self._specs:
            self._specs[name] = expand(name, self.config)
        return self._specs[name]

    def cells(self, name: str) -> list[Cell]:
        """The cells of an artefact, those that runs start from first. Raises ConfigError as `specs` does.

        A run that several artefacts need has the same id in each. One that is shown under several labels has a cell for
        each of them.
        """
        if name not in self._cells:
            specs, protocol = self.specs(name), artefact(name).protocol
            shown = {spec.run_id for spec in specs}
            parents = {spec.run_id: spec for run in specs for spec in run.ancestors() if spec.run_id not in shown}
            members: list[tuple[RunSpec, str | None]] = [(spec, None) for spec in parents.values()]
            members += [(spec, protocol) for spec in specs]
            self._cells[name] = [Cell(spec, protocol, self._refused(spec)) for spec, protocol in members]
        return self._cells[name]

    def expandable(self) -> list[str]:
        """The artefacts that can be expanded. The log names the file of each other one, and its fault."""
        return [name for name in artefact_names() if self._expands(name)]

    def find(self, run_id: str) -> RunSpec:
        """The spec of a run that any artefact has, or starts from; ConfigError where none does.

        Those that the configuration asks for come first.
        """
        for name in dict.fromkeys([*self._specs, *self.config.artefacts, *artefact_names()]):
            for spec in self.specs(name) if self._expands(name) else []:
                for run in (spec, *spec.ancestors()):
                    if run.run_id == run_id:
                        return run
        raise ConfigError(
            f"no artefact has the run {run_id} under this configuration. Name its scale, data set, images and methods "
            "as when it was made: the page shows the command of each row. A run of another revision of its method or "
            "backbone is made by the code of its commit alone."
        )

    def refused(self) -> dict[str, tuple[str, str]]:
        """(status, reason) of each refused run of the artefacts that have been expanded, by its id."""
        cells = [cell for name in self._specs for cell in self.cells(name)]
        return {cell.spec.run_id: cell.refused for cell in cells if cell.refused}

    def _expands(self, name: str) -> bool:
        try:
            self.specs(name)
        except ConfigError as error:
            leave_out(name, str(error))
            return False
        return True

    def _refused(self, spec: RunSpec) -> tuple[str, str] | None:
        if spec.run_id not in self._refusals:
            self._refusals[spec.run_id] = refusal(spec, self.config.path_of(spec.dataset))
            if spec.parent and (parent := self._refused(spec.parent)) and not self._refusals[spec.run_id]:
                self._refusals[spec.run_id] = parent[0], f"{spec.parent.run_id}, which it starts from: {parent[1]}"
        return self._refusals[spec.run_id]


def cells(config: Config) -> dict[str, list[Cell]]:
    """The cells of every artefact in `config`, by its name."""
    runs = Runs(config)
    return {name: runs.cells(name) for name in config.artefacts}
