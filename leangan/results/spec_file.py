"""rows/<run>/spec.json: what a run was trained with, its labels, and the configuration that reproduces it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leangan.core.errors import ConfigError
from leangan.core.files import read_json
from leangan.core.spec import NO_SPEC, Labels, RunSpec, check_scheme
from leangan.runs.row import Row

NAME = "spec.json"


@dataclass(frozen=True)
class SpecFile:
    """`spec` has the first of `labels`. `config` holds the keys of config/config.yaml for the command line."""

    path: Path
    spec: RunSpec
    labels: list[Labels]
    config: dict[str, Any]

    def check(self, rows: Iterable[Row]) -> None:
        """Raise ConfigError unless all rows, which are in the same folder, belong to this run."""
        for row in rows:
            if (row.run, row.setting) != (self.spec.run_id, self.spec.setting):
                raise ConfigError(
                    f"{self.path} belongs to run {self.spec.run_id} of setting {self.spec.setting}, the rows beside it "
                    f"to run {row.run} of setting {row.setting}. Move away what does not belong there."
                )


def read_spec(folder: Path) -> SpecFile | None:
    """The spec in a folder of rows; None if it has none.

    Raises ConfigError, naming the file, if its content is not a spec of this scheme.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    content = read_json(path)
    check_scheme(content, str(path))
    try:
        spec = RunSpec.from_fields(content)
        labels = [_label(each) for each in content["labels"]]
        config = dict(content["config"])
    except NO_SPEC as error:
        raise ConfigError(f"{path} is damaged: no spec ({error!r}). Delete it and run the same command.") from None
    return SpecFile(path, spec, labels, config)


def _label(stated: dict[str, Any]) -> Labels:
    label = Labels(**stated)
    names, length = (label.preset, label.method, label.title, label.citation), label.full_kimg
    if not all(isinstance(name, str) for name in names) or not isinstance(length, int | float):
        raise TypeError(f"labels {stated}")
    return label
