"""The papers' numbers: results/published/published.csv, in the units of our rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.project import project_file
from leangan.core.schemas import check
from leangan.results.metric_names import FAMILIES, Metric
from leangan.runs.artefact_sections import Layout

FILE = project_file("results/published/published.csv")
COLUMNS = ["paper", "artefact", "dataset", "train_images", "model", "method", "conditional", "metric",
           "protocol", "value", "spread", "source", "verified"]  # fmt: skip
UNVERIFIED = "not verified at its source"
FAMILY = {"FID": "fid", "Clean-FID": "clean_fid", "IS": "is", "IS (no splits)": "is_unsplit", "KID x1e3": "kid"}


def read_published(path: str | Path) -> pd.DataFrame:
    """The numbers as text, plus `number`: the value as a float in the unit of our rows (KID as such).

    Raises ConfigError where the file is missing or a line does not fit workflow/schemas/published.schema.yaml.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path} is missing.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for number, line in enumerate(table.to_dict("records"), start=2):
        check(line, "published", f"line {number} of {path}")
    number = pd.to_numeric(table["value"].str.extract(r"^(-?[\d.]+)")[0])
    return table.assign(number=number.where(table["metric"] != "KID x1e3", number / FAMILIES["kid"].scale))


def std_text(line: pd.Series) -> str:
    """The published standard deviation, "± 0.3", or nothing."""
    stated = re.match(r"± [\d.]+", line["spread"])
    return stated[0] if stated else ""


def doubt(line: pd.Series) -> str:
    """What of a published number has not been verified at its source, or nothing."""
    if line["verified"] != "yes":
        return f"published, {UNVERIFIED}"
    return f"published; its deviation {UNVERIFIED}" if "memory" in line["spread"] and std_text(line) else ""


@dataclass(frozen=True)
class Match:
    """Which published numbers stand beside the measured ones (`published:` of an artefact's layout).

    `where` gives values of published.csv's columns, a list where one of several fits; `methods` and `datasets`
    translate our names.
    """

    where: dict[str, Any]
    methods: dict[str, str]
    datasets: dict[str, str]

    @classmethod
    def from_layout(cls, layout: Layout) -> Match | None:
        """That of an artefact's layout; None where it names no published numbers."""
        stated = layout.published
        return None if stated is None else cls(stated.where, stated.methods, stated.datasets)

    def find(
        self, table: pd.DataFrame, setting: dict[str, Any], method: str, metric: Metric, proxy: bool
    ) -> pd.Series | None:
        """The one published line for a method in a setting; None where the paper has none, and where it was computed
        from another number of generated images, as in runs at a smaller scale.

        Raises ConfigError where several lines fit or the metric is a proxy.
        """
        if proxy:
            raise ConfigError(
                f"{metric.name} is a proxy: no published value may stand beside it. "
                "Remove published: from the artefact's layout."
            )
        if method not in self.methods:
            return None
        wanted = {
            "dataset": [self.datasets.get(setting["dataset"], setting["dataset"])],
            "train_images": [str(setting["images"])],
            "method": [self.methods[method]],
            **{key: list(map(str, value if isinstance(value, list) else [value])) for key, value in self.where.items()},
        }
        for key in wanted:
            if key not in table:
                raise unknown_name("column of published.csv", key, COLUMNS, "published: of the artefact's layout")
        lines = table[table["metric"].map(FAMILY) == metric.family]
        for key, values in wanted.items():
            lines = lines[lines[key].isin(values)]
        if len(lines) > 1:
            raise ConfigError(
                f"{len(lines)} published values fit {wanted} ({', '.join(lines['protocol'].unique())}); "
                "name the protocol or the artefact in published: where: of the artefact's layout."
            )
        if lines.empty:
            return None
        line = lines.iloc[0]
        stated = re.search(r"^[a-z]+(\d+k?)\b|\b(\d+k?) fakes", line["protocol"].replace("_", " "))
        return None if stated and metric.count not in stated.groups() else line
