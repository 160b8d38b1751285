"""The papers' numbers: results/published/published.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.project import project_file
from leangan.core.schemas import Record, Text, parse
from leangan.metrics.base import Family
from leangan.metrics.families import check_families, known_families
from leangan.results.metric_names import Metric
from leangan.runs.artefact_sections import PublishedPart

FILE = project_file("results/published/published.csv")
UNVERIFIED = "not verified at its source"
Decimal = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
"""A number with the digits that were printed."""


class PublishedNumber(Record):
    """One line of results/published/published.csv: a number, what it was measured of, and where it is from."""

    paper: Text
    """The paper, or who measured it again."""

    artefact: Text
    """The table or figure that states it."""

    dataset: Text
    """The data set, in the paper's words."""

    train_images: Text
    """Training images, or a word where the paper gives no number."""

    model: Text
    """The backbone, in the paper's words."""

    method: Text
    """The method, in the paper's words."""

    name: str
    """The method's name here, which gives its line on the page that method's colour; empty: it has none."""

    conditional: Literal["yes", "no", "na"]
    """Whether the networks are class-conditional; na: not stated."""

    family: Text
    """The metric's family: fid, clean_fid, is, is_unsplit, kid."""

    protocol: Text
    """How it was measured, in the paper's words. Numbers are ranked together only if this is the same for them."""

    fakes: Annotated[int, Field(ge=1)] | None
    """Generated images; empty: not stated."""

    reference: Literal["full", "train", "test"] | None
    """The images that the fakes are compared with: the whole training set, the run's training images or the test
    images; empty: none, or not stated."""

    value: Decimal
    """The number, in the unit of the metric's title: KID is printed times 1000."""

    std: Decimal | None
    """Its standard deviation, in the same unit; empty: not stated."""

    std_verified: Literal["yes", "no"] | None
    """Whether the deviation was seen at its source; empty: there is none."""

    note: str
    """What else is to be said of the number."""

    source: Text
    """Where the number was taken from."""

    quoted: Literal["yes", "no"]
    """yes: the paper repeats another one's number, or does not state the protocol. Such a number is not ranked."""

    verified: Literal["yes", "no"]
    """Whether the number was seen at its source. If not, it is not ranked."""

    @property
    def metric(self) -> Family:
        """How numbers of the family are printed, and which are better."""
        return known_families()[self.family]

    @cached_property
    def number(self) -> float:
        """The value in the unit of our rows."""
        return float(self.value) / self.metric.scale

    @property
    def std_text(self) -> str:
        """The standard deviation, "± 0.3", or nothing."""
        return f"± {self.std}" if self.std else ""

    @property
    def text(self) -> str:
        """Value and standard deviation as printed: "9.6 ± 0.3"."""
        return f"{self.value} {self.std_text}".strip()

    @property
    def doubt(self) -> str:
        """Why the number is not ranked, or nothing."""
        if self.verified == "no":
            return UNVERIFIED
        return "quoted, or under a protocol that it does not state" if self.quoted == "yes" else ""

    @property
    def caveat(self) -> str:
        """What of the number has not been verified at its source, or nothing."""
        if self.verified == "no":
            return f"published, {UNVERIFIED}"
        return f"published; its deviation {UNVERIFIED}" if self.std_verified == "no" else ""


def read_published(path: str | Path) -> list[PublishedNumber]:
    """All lines of the file. Raises ConfigError where it is missing or a line does not fit."""
    if not Path(path).is_file():
        raise ConfigError(f"{path} is missing.")
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [_read_line(line, f"line {number} of {path}") for number, line in enumerate(csv.DictReader(file), 2)]


def _read_line(cells: dict[str, Any], where: str) -> PublishedNumber:
    texts = ("name", "note")  # other fields that are empty are null
    values = {key: None if cell == "" and key not in texts else cell for key, cell in cells.items()}
    if (fakes := values.get("fakes")) and fakes.isdecimal():
        values["fakes"] = int(fakes)
    line = parse(PublishedNumber, values, where)
    check_families([line.family], where, "metric family")
    return line


def find_published(
    part: PublishedPart,
    published: Sequence[PublishedNumber],
    setting: dict[str, Any],
    method: str,
    metric: Metric,
    proxy: bool,
) -> PublishedNumber | None:
    """The published number that the layout's `part` names for a method in a setting.

    None where the paper has none, and where it was measured from another number of generated images, as at a smaller
    scale, or against another reference. Raises ConfigError where several fit or the metric is a proxy.
    """
    if proxy:
        raise ConfigError(
            f"{metric.name} is a proxy: no published value may stand beside it. "
            "Remove published: from the artefact's layout."
        )
    if method not in part.methods:
        return None
    wanted = {
        "dataset": [part.datasets.get(setting["dataset"], setting["dataset"])],
        "train_images": [str(setting["images"])],
        "method": [part.methods[method]],
        **{key: list(map(str, value if isinstance(value, list) else [value])) for key, value in part.where.items()},
    }
    for key in wanted:
        if key not in PublishedNumber.model_fields:
            known = PublishedNumber.model_fields
            raise unknown_name("column of published.csv", key, known, "published: of the artefact's layout")
    lines = [
        line
        for line in published
        if line.family == metric.family and all(str(getattr(line, key)) in wanted[key] for key in wanted)
    ]
    if len(lines) > 1:
        raise ConfigError(
            f"{len(lines)} published values fit {wanted} ({', '.join({line.protocol: None for line in lines})}); "
            "name the protocol or the artefact in published: where: of the artefact's layout."
        )
    return next((line for line in lines if _measured_alike(line, metric)), None)


def _measured_alike(line: PublishedNumber, metric: Metric) -> bool:
    """Whether number of fakes and reference agree. What a paper leaves out is not compared."""
    return line.fakes in (None, metric.n_fake) and line.reference in (None, metric.reference)
