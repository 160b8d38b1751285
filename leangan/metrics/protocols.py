"""Evaluation protocols: how many fakes, against which reals, on which features. See config/protocols.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.yaml_files import read
from leangan.metrics.extractor_facts import is_published

FILE = "config/protocols.yaml"
REFERENCES = ("full", "train", "test")
STATISTICS = ("batch", "running", "standing")


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
    statistics: str | None = None
    """What a generator's norms use (BigGAN): batch, running or standing statistics; None: whatever the preset says."""
    eval_seeds: int = 1
    """How often a snapshot is measured, each time with other fakes; a row holds mean and sample deviation."""

    @property
    def proxy(self) -> bool:
        """Whether its numbers are no published metric."""
        return not is_published(self.extractor)


def read_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises ConfigError for an unknown name or a wrong entry."""
    entries: dict[str, dict[str, Any]] = read(FILE)
    if name not in entries:
        raise unknown_name("protocol", name, entries, "config/artefacts/*.yaml or --protocol")
    try:
        protocol = Protocol(name, **entries[name])
    except TypeError as error:
        raise ConfigError(f"{FILE}, {name}: {error}") from error
    for key, allowed in (("reference", REFERENCES), ("statistics", (None, *STATISTICS))):
        if getattr(protocol, key) not in allowed:
            raise ConfigError(f"{FILE}, {name}: {key} is {getattr(protocol, key)!r}, must be one of {allowed}")
    if protocol.eval_seeds < 1:
        raise ConfigError(f"{FILE}, {name}: eval_seeds is {protocol.eval_seeds}, must be at least 1")
    return protocol
