"""An artefact (config/artefacts/*.yaml) as the report sees it: its runs, what was measured of them, its layout.

layout:
  caption: text before the generated sentence about the protocol   (default: the title)
  metrics: [fd, precision, recall]    families, one group of columns each; the first one chooses the best
                                      snapshot of a run for all of them    (default: all that were measured)
  training: [images_per_s, accuracy_real]   more columns, from the training log (optional; report/training_log.py);
                                      only where the grids of the artefact have titles
  published:                          the paper's numbers beside the measured ones (optional)
    where: {paper: DiffAugment (2006.10738), artefact: Table 4, model: BigGAN}   columns of published.csv; a list of
                                      values: one of them
    methods: {none: baseline, diffaugment: DiffAugment}                our name: the paper's
    datasets: {ffhq: ffhq 256}
  sweep:                              what the figure `sweep` draws (optional)
    x: da.p                           one argument of a plugin, or preset.<key>; of a list its first number
    default: 1                        of methods that leave it out (optional)
    label: augmentation probability   below the x axis
    scale: log                        of the x axis (optional)
    lines: {cutout: [da-cutout-0.2, da-cutout-0.4]}   label: methods
    levels: {baseline: [none]}        horizontal lines, each at the best mean of its methods (optional)
    panels: lines                     a panel per line instead of one per setting (optional)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from metrics.base import PUBLISHED, metric_name
from report.metric_names import FAMILIES, Metric, parse
from report.published import Match
from report.results import NOT_YET_RUN, PROTOCOL, Run, runs_of
from report.training_log import TRAINING
from suite.config import read
from suite.errors import ConfigError, unknown_name
from suite.spec import RunSpec, grids

SETTING = ["dataset", "resolution", "images", "backbone", "preset", "conditional"]
LAYOUT = ["caption", "metrics", "training", "published", "sweep"]
SWEEP = ["x", "default", "label", "scale", "lines", "levels", "panels"]


@dataclass(frozen=True)
class Column:
    """One setting under one metric. `protocol` has one value per key; `runs` holds every run of the setting.

    The setting's preset names several, joined by " / ", where each method has its own, as in the papers' tables.
    """

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

    def done(self, method: str) -> list[Run]:
        """The runs of one method that have numbers, by seed."""
        return [run for run in self.of(method) if run.status == "done"]


@dataclass(frozen=True)
class Group:
    """The methods of one titled grid in one setting; `columns` are those of the setting, one per metric."""

    title: str
    methods: list[str]
    columns: list[Column]


@dataclass(frozen=True)
class Artefact:
    """`methods` maps names to titles in the order of the rows; `columns` go by metric, then setting.

    `groups` is empty unless every grid has a title; `training` names the layout's columns from the training log,
    `sweep` is that of the layout, `reported` all published numbers (of report.published).
    `all_methods` names every measured method of the results, so that figures give each the same look everywhere.
    """

    title: str
    caption: str
    specs: list[RunSpec]
    methods: dict[str, str]
    all_methods: list[str]
    columns: list[Column]
    published: Match | None
    where: str
    groups: list[Group] = field(default_factory=list)
    training: list[str] = field(default_factory=list)
    sweep: dict[str, Any] | None = None
    reported: pd.DataFrame | None = None

    @property
    def main_columns(self) -> list[Column]:
        """What figures draw: the columns of the first metric, one per setting of which a run has numbers."""
        main = [column for column in self.columns if column.metric.family == self.columns[0].metric.family]
        return [column for column in main if any(map(column.done, self.methods))]

    @property
    def main_methods(self) -> dict[str, str]:
        """What figures draw: the methods of which a run in `main_columns` has numbers."""
        columns = self.main_columns
        return {name: title for name, title in self.methods.items() if any(column.done(name) for column in columns)}

    @property
    def spec_of(self) -> dict[str, RunSpec]:
        """The specs by run id."""
        return {spec.run_id: spec for spec in self.specs}

    def beside(self, column: Column, method: str) -> pd.Series | None:
        """The published number of a method in a column, which must have the method; None: there is none."""
        if self.published is None or not column.of(method):
            return None
        return self.published.find(self.reported, column.setting, method, column.metric, column.proxy)

    def only(self, methods: list[str]) -> Artefact:
        """The same with these methods alone, in this order; ConfigError for one that it does not have."""
        _known(methods, self.methods, f"figures: of {self.where}")
        groups = [replace(group, methods=[m for m in group.methods if m in methods]) for group in self.groups]
        kept = {name: self.methods[name] for name in methods}
        specs = [spec for spec in self.specs if spec.method in kept]
        return replace(self, methods=kept, specs=specs, groups=[group for group in groups if group.methods])


def load(
    name: str,
    content: dict[str, Any],
    specs: list[RunSpec],
    results: pd.DataFrame,
    reported: pd.DataFrame | None = None,
    fakes: int | None = None,
) -> Artefact:
    """The artefact with the rows of exactly its runs: `specs` (of suite.spec.expand) under the protocol of `content`.

    `reported` (of read_published) is needed where the layout names published numbers. `fakes` is how many generated
    images the scale measures with, which names the metrics before any run has a value; None: the protocol's.

    Raises ConfigError where the layout has an unknown key, or one column would mix protocols.
    """
    where = f"config/artefacts/{name}.yaml"
    layout = content.get("layout", {})
    for key in layout:
        if key not in LAYOUT:
            raise unknown_name("key of layout", key, LAYOUT, where)
    for family in layout.get("metrics", []):
        if family not in FAMILIES:
            raise unknown_name("metric family", family, FAMILIES, f"layout.metrics of {where}")
    for key in layout.get("training", []):
        if key not in TRAINING:
            raise unknown_name("quantity", key, TRAINING, f"layout.training of {where}")
    rows = results[
        results["source"].eq("measured")
        & results["protocol.name"].eq(content["protocol"])
        & results["run"].isin([spec.run_id for spec in specs])
    ]
    methods = list(dict.fromkeys(spec.method for spec in specs))
    titles = _distinct({method: _title(method, rows[rows["method"] == method]) for method in methods})
    titled = all("title" in grid for grid in grids(content))
    settings = _settings(specs, apart=titled)
    columns = _columns(settings, rows, layout.get("metrics") or _families(rows), where)
    columns = columns or _planned_columns(settings, rows, content, fakes)
    groups = _groups(content, columns) if titled else []
    published, sweep = layout.get("published"), layout.get("sweep")
    if sweep:
        _check_sweep(sweep, methods, where)
    if published and groups or layout.get("training") and not groups:
        raise ConfigError(
            f"{where}: a table of titled grids has columns of `training`, any other those of `published`: "
            "leave one out of the layout, or the titles out of the grid."
        )
    return Artefact(
        title=content["title"],
        caption=layout.get("caption", content["title"]),
        specs=specs,
        methods=titles,
        all_methods=sorted({*methods, *results.loc[results["source"].eq("measured"), "method"]}),
        columns=columns,
        where=where,
        groups=groups,
        training=layout.get("training", []),
        sweep=sweep,
        reported=reported,
        published=published and Match(published.get("where", {}), published["methods"], published.get("datasets", {})),
    )


def _groups(content: dict[str, Any], columns: list[Column]) -> list[Group]:
    """The titled grids in each of their settings; methods that no grid has (of the command line) come last."""
    of_setting: dict[tuple, list[Column]] = {}
    for column in columns:
        of_setting.setdefault(tuple(column.setting.values()), []).append(column)
    groups = []
    for grid in grids(content):
        settings = [own for own in of_setting.values() if own[0].setting["preset"] in grid["preset"]]
        for own in settings:
            title = grid["title"] if len(settings) == 1 else f"{grid['title']}, {own[0].title}"
            groups.append(Group(title, [method for method in grid["method"] if own[0].of(method)], own))
    for own in of_setting.values():
        grouped = {method for group in groups if group.columns is own for method in group.methods}
        added = [method for method in dict.fromkeys(run.method for run in own[0].runs) if method not in grouped]
        if added:
            groups.append(Group(f"Added, {own[0].title}", added, own))
    return groups


def _families(rows: pd.DataFrame) -> list[str]:
    """The metric families among the rows, in the order of FAMILIES."""
    present = {parse(name).family for name in rows["metric"].unique() if name}
    return [family for family in FAMILIES if family in present]


def _settings(specs: list[RunSpec], apart: bool) -> dict[str, list[RunSpec]]:
    """The specs of each setting, by its title.

    Presets share a setting where none of its methods has two of them, unless they are to stay `apart`.
    """
    found: dict[tuple, list[RunSpec]] = {}
    for spec in specs:
        found.setdefault(tuple(getattr(spec, key) for key in SETTING if apart or key != "preset"), []).append(spec)
    presets = [{(spec.method, spec.preset) for spec in members} for members in found.values()]
    if not apart and any(len(pairs) > len(dict(pairs)) for pairs in presets):
        return _settings(specs, apart=True)
    first = [members[0] for members in found.values()]
    varying = [key for key in SETTING if len({getattr(spec, key) for spec in first}) > 1]
    if len({tuple(getattr(spec, key) for key in varying if key != "preset") for spec in first}) == len(first):
        varying = [key for key in varying if key != "preset"]
    return {_setting_title(spec, varying): members for spec, members in zip(first, found.values(), strict=True)}


def _columns(settings: dict[str, list[RunSpec]], rows: pd.DataFrame, families: list[str], where: str) -> list[Column]:
    rows = rows.assign(family=[parse(name).family if name else "" for name in rows["metric"]])
    return [
        _column(rows, (family, families[0]), title, members, where)
        for family in families
        if rows["family"].eq(family).any()
        for title, members in settings.items()
    ]


def _planned_columns(
    settings: dict[str, list[RunSpec]], rows: pd.DataFrame, content: dict[str, Any], fakes: int | None
) -> list[Column]:
    """The columns of an artefact of which no run has a value yet."""
    name = content["protocol"]
    protocol = read("config/protocols.yaml")[name]
    reference, extractor = protocol["reference"], protocol["extractor"]
    columns = []
    for family in content.get("layout", {}).get("metrics") or protocol["metrics"]:
        metric = metric_name(family, fakes or protocol["fakes"], reference, extractor)
        for title, members in settings.items():
            stated = {"name": name, "proxy": extractor not in PUBLISHED}
            columns.append(Column(_setting(members), title, parse(metric), stated, _runs(rows, members, metric, None)))
    return columns


def _column(rows: pd.DataFrame, families: tuple[str, str], title: str, specs: list[RunSpec], where: str) -> Column:
    """The setting of `specs` under the first of `families`, the best snapshots chosen by the second."""
    group = rows[rows["run"].isin([spec.run_id for spec in specs])]
    values, judges = (group[group["family"] == family] for family in families)
    for names in (values["metric"].unique(), judges["metric"].unique()):
        if len(names) > 1:
            raise ConfigError(f"{title} of {where} would mix {', '.join(sorted(names))} in one column.")
    # A setting without a value is described by the first that has one: the artefact's protocol is theirs too.
    described = rows[rows["family"] == families[0]].head(1) if values.empty else values
    metric = described["metric"].iloc[0]
    judge = None if judges.empty else judges["metric"].iloc[0]
    protocol = _one_protocol(described, f"{metric}, {title}, of {where}")
    return Column(_setting(specs), title, parse(metric), protocol, _runs(rows, specs, metric, judge))


def _runs(rows: pd.DataFrame, specs: list[RunSpec], metric: str, judge: str | None) -> list[Run]:
    """Every run of `specs` under `metric`, its best snapshot chosen by `judge`; those without rows are not yet run."""
    group = rows[rows["run"].isin([spec.run_id for spec in specs])]
    waiting = [spec for spec in specs if spec.run_id not in set(group["run"])]
    return [
        *runs_of(group[group["metric"].isin([metric, judge, ""])], metric, best_by=judge),
        *(Run(spec.run_id, spec.method, spec.seed, NOT_YET_RUN, None, []) for spec in waiting),
    ]


def _setting(specs: list[RunSpec]) -> dict[str, Any]:
    """What the runs of one column share."""
    presets = " / ".join(dict.fromkeys(spec.preset for spec in specs))
    return {**{key: getattr(specs[0], key) for key in SETTING}, "preset": presets}


def _setting_title(spec: RunSpec, varying: list[str]) -> str:
    """What tells the columns apart; the images always."""
    words = {
        "dataset": spec.dataset,
        "resolution": f"{spec.resolution} px",
        "images": f"{spec.images:,} images",
        "backbone": spec.backbone,
        "preset": spec.preset,
        "conditional": "conditional" if spec.conditional else "unconditional",
    }
    return ", ".join(text for key, text in words.items() if key in varying or key == "images")


def _check_sweep(sweep: dict[str, Any], methods: list[str], where: str) -> None:
    """ConfigError for an unknown key or method of a layout's `sweep`."""
    where = f"layout.sweep of {where}"
    for key in ("x", "lines"):
        if key not in sweep:
            raise ConfigError(f"{where} lacks {key}.")
    for key in sweep:
        if key not in SWEEP:
            raise unknown_name("key", key, SWEEP, where)
    for members in [*sweep["lines"].values(), *sweep.get("levels", {}).values()]:
        _known(members, methods, where)


def _known(methods: list[str], known: Iterable[str], where: str) -> None:
    for name in methods:
        if name not in known:
            raise unknown_name("method", name, known, where)


def _one_protocol(rows: pd.DataFrame, where: str) -> dict[str, Any]:
    """The protocol that all rows share; ConfigError names what differs."""
    for key in PROTOCOL:
        values = rows[key].unique()
        if len(values) > 1:
            raise ConfigError(f"{where} would mix protocols in one column: {key} is {' and '.join(map(str, values))}.")
    first = rows.iloc[0]
    return {key.removeprefix("protocol."): None if pd.isna(first[key]) else first[key] for key in PROTOCOL}


def _distinct(titles: dict[str, str]) -> dict[str, str]:
    """The titles; of methods that share one, those after the first with their names."""
    first = {title: name for name, title in reversed(titles.items())}
    return {name: title if first[title] == name else f"{title} ({name})" for name, title in titles.items()}


def _title(method: str, rows: pd.DataFrame) -> str:
    """The method's title; without a number, or without a row, only its name may be known."""
    done = rows[rows["status"] == "done"]
    titles = (done if len(done) else rows)["method_title"]
    return titles.iloc[0] if len(titles) else method
