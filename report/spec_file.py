"""rows/<run>/spec.json: what a run was trained with, what it is called, and the configuration that makes it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.errors import ConfigError
from suite.files import read_json
from suite.spec import Labels, RunSpec

NAME = "spec.json"


@dataclass(frozen=True)
class SpecFile:
    """`spec` has the first of `labels`. `config` holds keys of config/config.yaml for the command line."""

    path: Path
    spec: RunSpec
    labels: list[Labels]
    config: dict[str, Any]

    def check(self, rows: Iterable[dict[str, Any]]) -> None:
        """Raise ConfigError unless the rows, which lie beside the file, are of its run."""
        for row in rows:
            if (row["run"], row.get("setting")) != (self.spec.run_id, self.spec.setting):
                raise ConfigError(
                    f"{self.path} belongs to run {self.spec.run_id}, the rows beside it to {row['run']}. "
                    "Move away the one that does not belong there."
                )


def read_spec(folder: Path) -> SpecFile | None:
    """The spec in a folder of rows; None where it has none.

    Raises ConfigError, naming the file, where it holds no spec of this version of the scheme.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    spec, content = RunSpec.read(path), read_json(path)
    try:
        labels = [_label(each) for each in content["labels"]]
        config = dict(content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: no spec ({error!r}). Delete it and run the same command.") from None
    return SpecFile(path, spec, labels, config)


def _label(stated: dict[str, Any]) -> Labels:
    label = Labels(**stated)
    names, length = (label.preset, label.method, label.citation), label.full_kimg
    if not all(isinstance(name, str) for name in names) or not isinstance(length, int | float):
        raise TypeError(f"labels {stated}")
    return label
