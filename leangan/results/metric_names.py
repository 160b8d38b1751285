"""The metric of a row, by its family, generated images, reference set and extractor, and how to print its values.

The words FID, KID and IS belong to Inception-v3, with clean-fid's resizing they are Clean-FID and Clean-KID; with
another extractor the same formulas are called FD and KD and are proxies. Naming rules: leangan/metrics/families.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from leangan.core.errors import ConfigError
from leangan.metrics.extractor_facts import is_published, title_of
from leangan.metrics.families import (
    check_extractor,
    check_families,
    compared_with,
    is_published_name,
    known_families,
    metric_name,
    named_extractor,
)
from leangan.runs.row import Row


@dataclass(frozen=True)
class Metric:
    """What a number is; `reference` is "" for one of the fakes alone."""

    family: str
    n_fake: int
    reference: str
    extractor: str

    @property
    def name(self) -> str:
        """The full name: fd1k_full_efficientnet_lite0."""
        return metric_name(self.family, self.n_fake, self.reference, self.extractor)

    @property
    def higher_is_better(self) -> bool:
        return known_families()[self.family].higher_is_better

    @property
    def arrow(self) -> str:
        """The direction of improvement."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def label(self) -> str:
        """The name for headings and axes; it states the extractor where the full name does."""
        title, extractor = known_families()[self.family].title, named_extractor(self.family, self.extractor)
        return f"{title} ({title_of(extractor)})" if extractor else title

    @property
    def digits(self) -> int:
        """Decimals in print."""
        return known_families()[self.family].digits

    def in_label_unit(self, value: float) -> float:
        """The value in the unit of the label: KID is printed times 1000."""
        return value * known_families()[self.family].scale

    def text(self, value: float, std: float | None = None) -> str:
        """The value, ± its standard deviation, as printed: with the decimals usual for the family; NaN is none."""
        if math.isnan(value):
            return "–"
        return " ± ".join(f"{self.in_label_unit(each):.{self.digits}f}" for each in (value, std) if each is not None)


def metric_of(row: Row) -> Metric:
    """The metric of a row that has one (`row.family`) and that `check_metric` has seen."""
    assert row.n_fake is not None and row.protocol.extractor is not None
    return Metric(row.family, row.n_fake, row.reference or "", row.protocol.extractor)


def check_metric(row: Row, where: str) -> None:
    """Raise ConfigError unless the row's family, reference, extractor, proxy and the metric's name agree.

    `where` says where the row is. A row without a number may have no metric.
    """
    if not row.family and not row.metric and row.status != "done":
        return
    check_families([row.family], where, "metric family")
    if row.proxy and is_published_name(row.family):
        raise ConfigError(f"{where}: {row.metric!r} is a proxy; FID, KID and IS are names of Inception's metrics only.")
    if row.n_fake is None or row.protocol.extractor is None:
        raise ConfigError(f"{where}: the name {row.metric!r} needs n_fake and protocol.extractor, which are null.")
    family, extractor = known_families()[row.family], row.protocol.extractor
    try:
        check_extractor(row.family, extractor, "family or protocol.extractor")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if row.proxy == is_published(extractor):
        raise ConfigError(f"{where}: proxy is {row.proxy}, must be {not row.proxy} with extractor {extractor!r}.")
    if row.reference != compared_with(row.family, row.reference or "full"):
        allowed = {"reference": "full, train or test", "training images": "train", "nothing": "null"}[family.against]
        raise ConfigError(f"{where}: reference is {row.reference or 'null'}, must be {allowed} for {row.family!r}.")
    if row.metric != (name := metric_of(row).name):
        raise ConfigError(
            f"{where}: metric is {row.metric!r}, must be {name!r} by the row's family, n_fake, reference and "
            "protocol.extractor. Correct whichever of them is wrong."
        )
