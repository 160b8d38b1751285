"""What a metric is: statistics of the reference features once, then one number per set of fakes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from suite.errors import ConfigError

INCEPTION = "inception_v3"

INCEPTION_ONLY = frozenset({"fid", "kid", "is"})
"""Published names: they belong to the 2015 Inception network."""

PROXY_ONLY = frozenset({"fd", "kd"})
"""The same formulas on another network's features."""

NO_REFERENCE = frozenset({"is"})
"""Metrics of the fakes alone."""


@dataclass(frozen=True)
class Features:
    """What an extractor says of N images: `pooled` float32 [N, D], `logits` float32 [N, classes] or None."""

    pooled: Tensor
    logits: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pooled)


class Value(NamedTuple):
    """A number and its standard deviation over splits or subsets, None where the metric has no such thing."""

    value: float
    spread: float | None = None


class Metric(ABC):
    """A metric against one reference set: `Metric(real)(fake)` gives a Value for each of its names."""

    names: ClassVar[frozenset[str]]
    """Families it can report, lower case: "fid", "precision", ..."""

    minimum: ClassVar[int]
    """Fewest images of either kind that define the number."""

    @abstractmethod
    def __init__(self, real: Features): ...

    @abstractmethod
    def __call__(self, fake: Features) -> dict[str, Value]: ...


def metric_name(family: str, n_fake: int, reference: str, extractor: str) -> str:
    """The full name of a number, which states its protocol: fid50k_full, is50k, fd1k_full_efficientnet_lite0.

    `reference` is the split the fakes are compared with (full, test or train). Raises ConfigError where a
    proxy would carry a published name, or the other way round.
    """
    inception = extractor == INCEPTION
    if family in (PROXY_ONLY if inception else INCEPTION_ONLY):
        instead = f"{INCEPTION}" if family in INCEPTION_ONLY else "another extractor"
        raise ConfigError(
            f"metric {family!r} does not go with extractor {extractor!r}, but with {instead};"
            " change metrics or extractor in config/protocols.yaml"
        )
    count = f"{n_fake // 1000}k" if n_fake % 1000 == 0 else str(n_fake)
    parts = [f"{family}{count}"]
    if family not in NO_REFERENCE:
        parts.append(reference)
    if not inception:
        parts.append(extractor)
    return "_".join(parts)
