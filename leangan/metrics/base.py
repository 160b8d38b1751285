"""What a metric is: statistics of the reference features once, then one number per set of fakes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from leangan.core.errors import ConfigError

if TYPE_CHECKING:  # tables and pages read the names below, and do without torch
    from torch import Tensor

INCEPTION = "inception_v3"
CLEAN_INCEPTION = "clean_inception"
"""The same network behind clean-fid's resizing (arXiv:2104.11222)."""

SHAPE_ATTRIBUTES = "shape_attributes"
"""No network: what leangan/metrics/leak.py measures of the shapes of leangan/data/readers/procedural.py."""

PUBLISHED = frozenset({INCEPTION, CLEAN_INCEPTION})
"""Extractors whose numbers compare with published ones; those of any other are proxies."""

OWN_FAMILIES = {
    INCEPTION: frozenset({"fid", "fid_inf", "kid", "is", "is_unsplit"}),
    CLEAN_INCEPTION: frozenset({"clean_fid", "clean_fid_inf", "clean_kid"}),
}
"""Names that belong to one network; `PROXY_FAMILIES` are the same formulas on any other network's features."""

PROXY_FAMILIES = frozenset({"fd", "fd_inf", "kd"})

NO_REFERENCE = frozenset({"is", "is_unsplit"})
"""Metrics of the fakes alone."""

OF_TRAINING_IMAGES = frozenset({"copying", "nn_ratio"})
"""Metrics against the images the run trained on, whatever the protocol's reference."""


@dataclass(frozen=True)
class Features:
    """What an extractor says of N images: `pooled` float32 [N, D], `logits` float32 [N, classes] or None.

    `trained`, int64 on the CPU, says which of N reals the run was trained on; None: not known.
    """

    pooled: Tensor
    logits: Tensor | None = None
    trained: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pooled)


class Value(NamedTuple):
    """A number and its standard deviation over `over` ("splits", "subsets", "evaluation seeds"), or None."""

    value: float
    spread: float | None = None
    over: str | None = None


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


def library(extractor: str) -> str:
    """The package, with its version, whose numbers those of `extractor` are; a module where they are this project's."""
    if extractor == SHAPE_ATTRIBUTES:
        return "leangan.metrics.leak"
    package = "clean-fid" if extractor == CLEAN_INCEPTION else "torch-fidelity"
    return f"{package} {version(package)}"


def compared_with(family: str, reference: str) -> str | None:
    """The images behind a number under a protocol whose reference is `reference`; None: the fakes alone."""
    if family in NO_REFERENCE:
        return None
    return "train" if family in OF_TRAINING_IMAGES else reference


def metric_name(family: str, n_fake: int, reference: str, extractor: str) -> str:
    """The full name of a number, which states its protocol: fid50k_full, is50k, fd1k_full_efficientnet_lite0.

    `reference` is the split the fakes are compared with (full, test or train). Raises ConfigError where a
    proxy would carry a published name, or one network the name of another's number.
    """
    own = OWN_FAMILIES.get(extractor, PROXY_FAMILIES)
    if family not in own and family in PROXY_FAMILIES.union(*OWN_FAMILIES.values()):
        instead = next((name for name, families in OWN_FAMILIES.items() if family in families), "another extractor")
        raise ConfigError(
            f"metric {family!r} does not go with extractor {extractor!r}, but with {instead};"
            " change metrics or extractor in config/protocols.yaml"
        )
    parts = f"{family}{fakes_text(n_fake)}", compared_with(family, reference), named_extractor(family, extractor)
    return "_".join(part for part in parts if part)


def fakes_text(n_fake: int) -> str:
    """The number of generated images as names have it: 50k, 500."""
    return f"{n_fake // 1000}k" if n_fake % 1000 == 0 else str(n_fake)


def named_extractor(family: str, extractor: str) -> str | None:
    """The extractor as name and title of a number have it; None where the family alone says it."""
    return None if extractor == INCEPTION or family in OWN_FAMILIES.get(extractor, ()) else extractor
