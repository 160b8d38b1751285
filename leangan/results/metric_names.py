"""What a metric's name says: family, generated images, reference set, extractor, and how to print its values.

The words FID, KID and IS belong to Inception-v3, with clean-fid's resizing they are Clean-FID and Clean-KID; with
another extractor the same formulas are called FD and KD and are proxies. Naming rules: leangan/metrics/base.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leangan.core.errors import unknown_name


@dataclass(frozen=True)
class Family:
    """How the values of a metric family are printed: `scale` and `digits` as in the papers' tables."""

    title: str
    higher_is_better: bool = False
    scale: float = 1.0
    digits: int = 2


FAMILIES = {
    "fid": Family("FID"),
    "clean_fid": Family("Clean-FID"),
    "fd": Family("FD"),
    "fid_inf": Family("FID∞"),
    "clean_fid_inf": Family("Clean-FID∞"),
    "fd_inf": Family("FD∞"),
    "kid": Family("KID ×10³", scale=1e3),
    "clean_kid": Family("Clean-KID ×10³", scale=1e3),
    "kd": Family("KD ×10³", scale=1e3),
    "is": Family("IS", higher_is_better=True),
    "is_unsplit": Family("IS (no splits)", higher_is_better=True),
    "precision": Family("Precision", higher_is_better=True, digits=3),
    "recall": Family("Recall", higher_is_better=True, digits=3),
    "copying": Family("Copying", digits=3),
    "nn_ratio": Family("Distance ratio", higher_is_better=True, digits=3),
    "leak_orientation": Family("Leaked orientation", digits=3),
    "leak_hue": Family("Leaked hue", digits=3),
    "leak_scale": Family("Leaked scale", digits=3),
}
EXTRACTORS = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "inception_v3": "Inception-v3",
    "clean_inception": "Inception-v3, clean",
    "shape_attributes": "shape attributes",
}


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
        return FAMILIES[self.family].higher_is_better

    @property
    def arrow(self) -> str:
        """The direction of improvement."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def label(self) -> str:
        """The name for headings and axes; it names the extractor unless that is Inception."""
        title = FAMILIES[self.family].title
        return f"{title} ({EXTRACTORS.get(self.extractor, self.extractor)})" if self.extractor else title

    @property
    def digits(self) -> int:
        """Decimals in print."""
        return FAMILIES[self.family].digits

    def in_label_unit(self, value: float) -> float:
        """The value in the unit of the label: KID is printed times 1000."""
        return value * FAMILIES[self.family].scale

    def text(self, value: float, std: float | None = None) -> str:
        """The value, ± its standard deviation, as printed: with the decimals usual for the family."""
        return " ± ".join(f"{self.in_label_unit(each):.{self.digits}f}" for each in (value, std) if each is not None)


def parse(name: str, where: str = "the row that names it") -> Metric:
    """The parts of a metric's name; ConfigError, saying `where` it stands, where the family is unknown."""
    match = re.fullmatch(r"([a-z_]+)(\d+k?)(?:_(full|test|train))?(?:_(\w+))?", name)
    if match is None or match[1] not in FAMILIES:
        raise unknown_name(
            "metric",
            name,
            [f"{family}<fakes>_<reference>" for family in FAMILIES],
            where,
        )
    family, count, reference, extractor = match.groups()
    return Metric(name, family, count, reference, extractor)
