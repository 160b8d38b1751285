"""What a metric and an extractor are: plugins, each a file of leangan/metrics/formulas/ or leangan/metrics/extractors/.

An extractor turns images into features. A metric takes statistics of the reference's features once, then gives one
number per set of fakes. Tables, pages and the plan read what both say of themselves without running their files
(leangan/plugins/facts.py), so that the files may import torch and other libraries as they please.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from leangan.core.errors import ConfigError
from leangan.metrics.extractor_facts import is_published

if TYPE_CHECKING:  # tables and pages read families, and do without torch
    from torch import Tensor, nn

Against = Literal["reference", "training images", "nothing"]
"""What a metric compares fakes with: the protocol's reference, whatever the run trained on, or nothing at all."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A name under which a metric reports a number, what the number is compared with and how it is printed."""

    name: str
    """Lower-case letters and underscores, as `metrics:` of a protocol lists it; numbers may follow it in a row."""

    title: str
    """For headings and axes. It includes the scale, as in "KID ×10³"."""

    place: int = 1000
    """Columns are sorted by this number, then by name."""

    higher_is_better: bool = False

    scale: float = 1.0
    """What a value is multiplied by in print, as in the papers' tables."""

    digits: int = 2
    """Decimals in print."""

    bounds: tuple[float | None, float | None] = (None, None)
    """The least and the largest possible value; None: there is no bound."""

    against: Against = "reference"

    extractors: tuple[str, ...] = ()
    """Extractors under which the number has this name; empty: any."""

    for_proxies: bool = False
    """Whether it is only for extractors whose numbers are proxies. Under the others the number has another name."""

    log_axis: bool = False
    """Whether figures draw it on a logarithmic axis, as distances that span decades."""

    signs_of_copying: bool = False
    """Whether it looks for copies of training images. Methods are not ranked by it; nearest neighbours are drawn."""

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z_]+", self.name):
            raise ConfigError(f"the family's name is {self.name!r}, must be of lower-case letters and underscores.")
        if self.against not in (allowed := get_args(Against)):
            raise ConfigError(f"against of family {self.name!r} is {self.against!r}, must be one of {allowed}.")

    @property
    def limits(self) -> tuple[float, float]:
        """`bounds` as numbers, infinite where there is none."""
        low, high = self.bounds
        return -math.inf if low is None else low, math.inf if high is None else high

    def goes_with(self, extractor: str | None) -> bool:
        """Whether a number from the features of this extractor has the name; None: it is not known, and no Inception.

        FID, KID and IS are names of Inception's numbers alone.
        """
        if self.for_proxies:
            return extractor is None or not is_published(extractor)
        return not self.extractors or extractor in self.extractors


@dataclass(frozen=True)
class Features:
    """What an extractor says of N images: `pooled` float32 [N, D], `logits` float32 [N, classes] or None.

    `trained`, int64 on the CPU, says which of N reals the run was trained on; None: not known. `extractor` is the name
    of the extractor, from which the names of numbers follow; None: not known.
    """

    pooled: Tensor
    logits: Tensor | None = None
    trained: Tensor | None = None
    extractor: str | None = None

    def __len__(self) -> int:
        return len(self.pooled)


class Value(NamedTuple):
    """A number and its standard deviation, or None, over what `over` says: "splits", "subsets", "evaluation seeds"."""

    value: float
    spread: float | None = None
    over: str | None = None


class NoValue(Exception):
    """Says in words why these images define no number: raised by a metric, or given in place of one Value.

    The row then has no value and these words as its reason. All other rows are what they would be without it.
    """


class Metric(ABC):
    """A metric against one reference set: `Metric(real)(fake)` gives a Value for each of its families.

    What it cannot compute is a NoValue. A number that is not finite is taken for one.
    """

    families: ClassVar[tuple[Family, ...]]
    """What it reports, in plain values, which are read without running the file."""

    minimum: ClassVar[int] = 1
    """Fewest fakes that define the numbers, and fewest reals unless all families are against nothing. The plan reads it
    without running the file."""

    of_logits: ClassVar[bool] = False
    """Whether it reads logits. Features that are not finite, in all that it reads, are not given to it."""

    @abstractmethod
    def __init__(self, real: Features): ...

    @abstractmethod
    def __call__(self, fake: Features) -> Mapping[str, Value | NoValue]:
        """A value for each of its families that goes with the features' extractor. `fake` is on the device of `real`.

        Raises NoValue where none of them has one.
        """

    def under_its_name(self, value: Value, fake: Features) -> dict[str, Value]:
        """A value of `fake` under the name that belongs to the extractor; the families differ in nothing else."""
        return {family.name: value for family in self.families if family.goes_with(fake.extractor)}


class Extractor(ABC):
    """A network, or code without one, whose features of images metrics compare.

    `title`, `published`, `named`, `package` and `floats` are plain values: they are read without running the file.
    """

    title: ClassVar[str]
    """For headings and captions: "EfficientNet-Lite0"."""

    published: ClassVar[bool] = False
    """Whether its numbers can be compared with published ones. Otherwise they are proxies."""

    named: ClassVar[bool] = True
    """Whether names and titles of its numbers state it: fid50k_full is of the one extractor that they leave out."""

    package: ClassVar[str | None] = None
    """The package that defines its numbers; None: this file does."""

    floats: ClassVar[int]
    """Numbers stored of one image, pooled features and logits."""

    input_px: ClassVar[int | None] = None
    """The side that images are resized to; None: they stay as they are."""

    resize: ClassVar[str | None] = None
    """How, in words; None: they stay as they are."""

    @staticmethod
    @abstractmethod
    def load(weights: str | Path | None, sha256: str | None) -> tuple[nn.Module, str]:
        """(network on the CPU, sha256 of its weights, or of the code that measures without any).

        The network turns uint8 [N, 3, H, W] into (pooled [N, D],) or (pooled, logits [N, classes]). `weights` and
        `sha256` are what a user gave for the Inception network, `--inception-weights` and `--inception-sha256`; others
        do without. Raises ConfigError before anything of a foreign file is executed.
        """
