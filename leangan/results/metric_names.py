"""What a metric's name says: family, generated images, reference set, extractor, and how to print its values.

The words FID, KID and IS belong to Inception-v3, with clean-fid's resizing they are Clean-FID and Clean-KID; with
another extractor the same formulas are called FD and KD and are proxies. Naming rules: leangan/metrics/families.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leangan.core.errors import unknown_name
from leangan.metrics.extractor_facts import title_of
from leangan.metrics.families import known_families


@dataclass(frozen=True)
class Metric:
    """A parsed metric name: `fd1k_full_efficientnet_lite0` has family fd, count 1k, reference full."""

    name: str
    family: str
    count: str
    reference: str | None
    extractor: str | None

    @property
    def fakes(self) -> int:
        """Generated images."""
        return int(self.count.removesuffix("k")) * (1000 if self.count.endswith("k") else 1)

    @property
    def higher_is_better(self) -> bool:
        return known_families()[self.family].higher_is_better

    @property
    def arrow(self) -> str:
        """The direction of improvement."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def label(self) -> str:
        """The name for headings and axes; it names the extractor unless that is Inception."""
        title = known_families()[self.family].title
        return f"{title} ({title_of(self.extractor)})" if self.extractor else title

    @property
    def digits(self) -> int:
        """Decimals in print."""
        return known_families()[self.family].digits

    def in_label_unit(self, value: float) -> float:
        """The value in the unit of the label: KID is printed times 1000."""
        return value * known_families()[self.family].scale

    def text(self, value: float, std: float | None = None) -> str:
        """The value, ± its standard deviation, as printed: with the decimals usual for the family."""
        return " ± ".join(f"{self.in_label_unit(each):.{self.digits}f}" for each in (value, std) if each is not None)


def parse(name: str, where: str = "the row that names it") -> Metric:
    """The parts of a metric's name; ConfigError, saying `where` it stands, where the family is unknown."""
    match = re.fullmatch(r"([a-z_]+)(\d+k?)(?:_(full|test|train))?(?:_(\w+))?", name)
    if match is None or match[1] not in known_families():
        raise unknown_name(
            "metric",
            name,
            [f"{family}<fakes>_<reference>" for family in known_families()],
            where,
        )
    family, count, reference, extractor = match.groups()
    return Metric(name, family, count, reference, extractor)
