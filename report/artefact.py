"""An artefact (config/artefacts/*.yaml) as the report sees it: its rows and its layout.

layout:
  caption: text before the generated sentence about the protocol   (default: the title)
  metrics: [fd, precision, recall]    families, one group of columns each; the first one chooses the best
                                      snapshot of a run for all of them    (default: all that were measured)
  published:                          the paper's numbers beside the measured ones (optional)
    where: {paper: DiffAugment (2006.10738), artefact: Table 4, model: BigGAN}   columns of published.csv
    methods: {none: baseline, diffaugment: DiffAugment}                our name: the paper's
    datasets: {ffhq: ffhq 256}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from report.metric_names import FAMILIES, Metric, parse
from report.published import Match
from report.results import PROTOCOL, Run, runs_of
from suite.config import check
from suite.errors import ConfigError, unknown_name

SETTING = ["dataset", "resolution", "images", "backbone", "preset", "conditional"]
LAYOUT = ["caption", "metrics", "published"]


@dataclass(frozen=True)
class Column:
    """One setting under one metric. `protocol` has one value per key; `runs` all runs."""

    setting: dict[str, Any]
    title: str
    metric: Metric
    protocol: dict[str, Any]
    runs: list[Run]

    @property
    def proxy(self) -> bool:
        return bool(self.protocol["proxy"])

    def of(self, method: str) -> list[Run]:
        """The runs of one method, by seed."""
        return sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)


@dataclass(frozen=True)
class Artefact:
    """`methods` maps names to titles in the order of the rows; `columns` go by metric, then setting."""

    title: str
    caption: str
    methods: dict[str, str]
    columns: list[Column]
    published: Match | None

    @property
    def main_columns(self) -> list[Column]:
        """The columns of the first metric: one per setting."""
        return [column for column in self.columns if column.metric.family == self.columns[0].metric.family]


def load(
    path: str | Path, results: pd.DataFrame, methods: tuple[str, ...] = (), images: tuple[int, ...] = ()
) -> Artefact:
    """The artefact with its measured rows; `methods` are added to its own and `images` replace its sizes.

    Raises ConfigError where the layout has an unknown key, no row belongs to the artefact, or one
    column would mix protocols.
    """
    content = yaml.safe_load(Path(path).read_text())
    check(content, "artefact", str(path))
    layout = content.get("layout", {})
    for key in layout:
        if key not in LAYOUT:
            raise unknown_name("key of layout", key, LAYOUT, str(path))
    for family in layout.get("metrics", []):
        if family not in FAMILIES:
            raise unknown_name("metric family", family, FAMILIES, f"layout.metrics of {path}")
    rows = _belonging(content, results, methods, images)
    if rows.empty:
        raise ConfigError(
            f"no measured row belongs to {path} (protocol {content['protocol']!r}). "
            "Run snakemake for this artefact first."
        )
    columns = _columns(rows, layout.get("metrics") or _families(rows), str(path))
    present = set(rows["method"])
    names = [name for name in dict.fromkeys([*content["grid"]["method"], *methods]) if name in present]
    published = layout.get("published")
    return Artefact(
        title=content["title"],
        caption=layout.get("caption", content["title"]),
        methods={name: _title(rows[rows["method"] == name]) for name in names},
        columns=columns,
        published=published and Match(published.get("where", {}), published["methods"], published.get("datasets", {})),
    )


def _belonging(content: dict, results: pd.DataFrame, methods: tuple[str, ...], images: tuple[int, ...]) -> pd.DataFrame:
    grid = content["grid"]
    return results[
        results["source"].eq("measured")
        & results["protocol.name"].eq(content["protocol"])
        & results["dataset"].isin(grid["dataset"])
        & results["resolution"].isin(grid["resolution"])
        & results["images"].isin(images or grid["images"])
        & results["preset"].isin(grid["preset"])
        & results["method"].isin([*grid["method"], *methods])
        & results["conditional"].eq(content.get("conditional", False))
    ]


def _families(rows: pd.DataFrame) -> list[str]:
    """The metric families among the rows, in the order of FAMILIES."""
    present = {parse(name).family for name in rows["metric"].unique() if name}
    return [family for family in FAMILIES if family in present]


def _columns(rows: pd.DataFrame, families: list[str], where: str) -> list[Column]:
    varying = [key for key in SETTING if rows[key].nunique() > 1]
    settings = [(dict(zip(SETTING, values, strict=True)), group) for values, group in rows.groupby(SETTING, sort=True)]
    columns = []
    for family in families:
        for setting, group in settings:
            names = [name for name in group["metric"].unique() if name and parse(name).family == family]
            main = [name for name in group["metric"].unique() if name and parse(name).family == families[0]]
            title = _setting_title(setting, varying)
            if len(names) > 1 or len(main) > 1:
                raise ConfigError(f"{title} of {where} would mix {', '.join(sorted({*names, *main}))} in one column.")
            if not names:
                continue
            of_metric = group[group["metric"].isin([names[0], main[0] if main else names[0], ""])]
            protocol = _one_protocol(group[group["metric"] == names[0]], f"{names[0]}, {title}, of {where}")
            runs = runs_of(of_metric, names[0], best_by=main[0] if main else None)
            _one_run_per_seed(runs, f"{title} of {where}")
            columns.append(Column(setting, title, parse(names[0]), protocol, runs))
    if not columns:
        reasons = rows["reason"].dropna().unique()
        raise ConfigError(
            f"no run of {where} has a value of {', '.join(families)} under this protocol. "
            f"{'Reasons given: ' + '; '.join(reasons) if len(reasons) else 'Check layout.metrics.'}"
        )
    return columns


def _setting_title(setting: dict[str, Any], varying: list[str]) -> str:
    """What tells the columns apart; the images always."""
    words = {
        "dataset": setting["dataset"],
        "resolution": f"{setting['resolution']:.0f} px",
        "images": f"{setting['images']:,.0f} images",
        "backbone": setting["backbone"],
        "preset": setting["preset"],
        "conditional": "conditional" if setting["conditional"] else "unconditional",
    }
    return ", ".join(text for key, text in words.items() if key in varying or key == "images")


def _one_protocol(rows: pd.DataFrame, where: str) -> dict[str, Any]:
    """The protocol that all rows share; ConfigError names what differs."""
    for key in PROTOCOL:
        values = rows[key].unique()
        if len(values) > 1:
            raise ConfigError(f"{where} would mix protocols in one column: {key} is {' and '.join(map(str, values))}.")
    first = rows.iloc[0]
    return {key.removeprefix("protocol."): None if pd.isna(first[key]) else first[key] for key in PROTOCOL}


def _one_run_per_seed(runs: list[Run], where: str) -> None:
    seen: dict[tuple[str, int], str] = {}
    for run in runs:
        other = seen.setdefault((run.method, run.seed), run.run)
        if other != run.run:
            raise ConfigError(f"{where} would average two different set-ups of {run.method}: {other} and {run.run}.")


def _title(rows: pd.DataFrame) -> str:
    """The method's title; a run without a number may know only its name."""
    done = rows[rows["status"] == "done"]
    return (done if len(done) else rows)["method_title"].iloc[0]
