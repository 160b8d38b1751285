"""Evaluation protocols: how many fakes, against which reals, on which features. See config/protocols.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metrics.base import INCEPTION
from suite.config import read
from suite.errors import ConfigError, unknown_name

FILE = "config/protocols.yaml"


@dataclass(frozen=True)
class Protocol:
    """One entry of config/protocols.yaml. A scale may ask for fewer fakes; the metrics' names then say so."""

    name: str
    extractor: str
    fakes: int
    reference: str
    """full: the whole prepared set, train: the images the run was trained on, test: a held-out set."""
    metrics: list[str]
    source: str

    @property
    def proxy(self) -> bool:
        """Whether its numbers are no published metric."""
        return self.extractor != INCEPTION


def read_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises ConfigError for an unknown name or a wrong entry."""
    entries: dict[str, dict[str, Any]] = read(FILE)
    if name not in entries:
        raise unknown_name("protocol", name, entries, "config/artefacts/*.yaml or --protocol")
    try:
        return Protocol(name, **entries[name])
    except TypeError as error:
        raise ConfigError(f"{FILE}, {name}: {error}") from error
