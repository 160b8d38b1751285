"""The columns of an artefact: each setting of its runs under each metric, measured by one protocol.

The runs of one method in a column have one origin (leangan/results/origin.py), and all runs in it have the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.metrics.families import known_families, metric_name
from leangan.metrics.protocols import read_protocol
from leangan.results import origin
from leangan.results.measured_runs import NOT_YET_RUN, Run, runs_of
from leangan.results.metric_names import Metric, parse
from leangan.results.origin import Origin, origin_of
from leangan.results.table import PROTOCOL
from leangan.runs.artefact_sections import ArtefactConfig

SETTING_KEYS = ["dataset", "resolution", "images", "backbone", "preset", "conditional"]


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

    def runs_of(self, method: str) -> list[Run]:
        """The runs of one method, by seed."""
        return sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)

    def finished_runs(self, method: str) -> list[Run]:
        """The runs of one method that have numbers, by seed."""
        return [run for run in self.runs_of(method) if run.status == "done"]


def columns_of(
    specs: list[RunSpec], rows: pd.DataFrame, content: ArtefactConfig, apart: bool, fakes: int | None, where: str
) -> list[Column]:
    """The columns of the runs in `specs`, by metric, then setting; planned ones where no run has a value yet.

    `rows` are those runs' under the protocol of `content`, the artefact's. Presets that could share a column stay
    `apart`. `fakes` is the number of generated images of planned columns, None: the protocol's.

    Raises ConfigError if one column would mix protocols or origins.
    """
    settings = _settings(specs, apart)
    families = content.layout.metrics or _families(rows)
    return _measured_columns(settings, rows, families, where) or _planned_columns(settings, rows, content, fakes)


def _families(rows: pd.DataFrame) -> list[str]:
    """The metric families among the rows, in the order of columns."""
    present = {parse(name).family for name in rows["metric"].unique() if name}
    return [family for family in known_families() if family in present]


def _settings(specs: list[RunSpec], apart: bool) -> dict[str, list[RunSpec]]:
    """The specs of each setting, by its title.

    Presets share a setting where none of its methods has two of them, unless they are to stay `apart`.
    """
    found: dict[tuple, list[RunSpec]] = {}
    for spec in specs:
        found.setdefault(tuple(getattr(spec, key) for key in SETTING_KEYS if apart or key != "preset"), []).append(spec)
    presets = [{(spec.method, spec.preset) for spec in members} for members in found.values()]
    if not apart and any(len(pairs) > len(dict(pairs)) for pairs in presets):
        return _settings(specs, apart=True)
    first = [members[0] for members in found.values()]
    varying = [key for key in SETTING_KEYS if len({getattr(spec, key) for spec in first}) > 1]
    if len({tuple(getattr(spec, key) for key in varying if key != "preset") for spec in first}) == len(first):
        varying = [key for key in varying if key != "preset"]
    return {_setting_title(spec, varying): members for spec, members in zip(first, found.values(), strict=True)}


def _measured_columns(
    settings: dict[str, list[RunSpec]], rows: pd.DataFrame, families: list[str], where: str
) -> list[Column]:
    """Those of the families that have values; none where no run has one."""
    rows = rows.assign(family=[parse(name).family if name else "" for name in rows["metric"]])
    return [
        _column(rows, (family, families[0]), title, members, where)
        for family in families
        if rows["family"].eq(family).any()
        for title, members in settings.items()
    ]


def _planned_columns(
    settings: dict[str, list[RunSpec]], rows: pd.DataFrame, content: ArtefactConfig, fakes: int | None
) -> list[Column]:
    """The columns of an artefact of which no run has a value yet."""
    protocol = read_protocol(content.protocol)
    columns = []
    for family in content.layout.metrics or protocol.metrics:
        metric = metric_name(family, fakes or protocol.fakes, protocol.reference, protocol.extractor)
        for title, members in settings.items():
            stated = {"name": protocol.name, "proxy": protocol.proxy}
            columns.append(Column(_setting(members), title, parse(metric), stated, _runs(rows, members, metric, None)))
    return columns


def _column(rows: pd.DataFrame, families: tuple[str, str], title: str, specs: list[RunSpec], where: str) -> Column:
    """The setting of `specs` under the first of `families`, the best snapshots chosen by the second."""
    group = rows_of_specs(rows, specs)
    values, judges = (group[group["family"] == family] for family in families)
    for names in (values["metric"].unique(), judges["metric"].unique()):
        if len(names) > 1:
            raise ConfigError(f"{title} of {where} would mix {', '.join(sorted(names))} in one column.")
    # A setting without a value is described by the first that has one: the artefact's protocol is theirs too.
    described = rows[rows["family"] == families[0]].head(1) if values.empty else values
    metric = described["metric"].iloc[0]
    judge = None if judges.empty else judges["metric"].iloc[0]
    protocol = _one_protocol(described, f"{metric}, {title}, of {where}")
    _check_origins(values, f"{metric}, {title}, of {where}")
    return Column(_setting(specs), title, parse(metric), protocol, _runs(rows, specs, metric, judge))


def _runs(rows: pd.DataFrame, specs: list[RunSpec], metric: str, judge: str | None) -> list[Run]:
    """Every run of `specs` under `metric`, its best snapshot chosen by `judge`; those without rows are not yet run."""
    group = rows_of_specs(rows, specs)
    begun = set(zip(group["run"], group["method"], strict=True))
    waiting = [spec for spec in specs if (spec.run_id, spec.method) not in begun]
    return [
        *runs_of(group[group["metric"].isin([metric, judge, ""])], metric, best_by=judge),
        *(Run(spec.run_id, spec.method, spec.seed, NOT_YET_RUN, None, [], preset=spec.preset) for spec in waiting),
    ]


def rows_of_specs(rows: pd.DataFrame, specs: list[RunSpec]) -> pd.DataFrame:
    """Rows of these runs with these labels."""
    labels = {(spec.run_id, spec.preset, spec.method) for spec in specs}
    found = [key in labels for key in zip(rows["run"], rows["preset"], rows["method"], strict=True)]
    return rows[np.array(found, bool)]


def _setting(specs: list[RunSpec]) -> dict[str, Any]:
    """What the runs of one column share."""
    presets = " / ".join(dict.fromkeys(spec.preset for spec in specs))
    return {**{key: getattr(specs[0], key) for key in SETTING_KEYS}, "preset": presets}


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


def _one_protocol(rows: pd.DataFrame, where: str) -> dict[str, Any]:
    """The protocol that all rows share; ConfigError names what differs."""
    for key in PROTOCOL:
        values = rows[key].unique()
        if len(values) > 1:
            raise ConfigError(f"{where} would mix protocols in one column: {key} is {' and '.join(map(str, values))}.")
    first = rows.iloc[0]
    return {key.removeprefix("protocol."): None if pd.isna(first[key]) else first[key] for key in PROTOCOL}


def _check_origins(rows: pd.DataFrame, where: str) -> None:
    """Raise ConfigError if the runs have different data, or the runs of one method different origins."""
    keys = ["run", "method", *(key for key in origin.COLUMNS if key in rows)]
    origins: list[tuple[str, str, Origin]] = [
        (row["method"], row["run"], origin_of(row)) for _, row in rows[keys].drop_duplicates().iterrows()
    ]
    if origin.DATA in origin.differing_keys(found for _, _, found in origins):
        raise _mixed(origin.DATA, [(run, found) for _, run, found in origins], where)
    for method in dict.fromkeys(method for method, _, _ in origins):
        own = [(run, found) for other, run, found in origins if other == method]
        for key in origin.differing_keys(found for _, found in own):
            raise _mixed(key, own, where)


def _mixed(key: str, origins: list[tuple[str, Origin]], where: str) -> ConfigError:
    """The error that names the values of `key` and the runs that have each of them."""
    runs: dict[str, list[str]] = {}
    for run, found in origins:
        if key in found:
            runs.setdefault(origin.in_words(key, found[key]), []).append(run)
    kinds = " and ".join(f"{words} ({', '.join(dict.fromkeys(of_kind))})" for words, of_kind in runs.items())
    return ConfigError(
        f"{where} would mix origins in one column: {kinds}. Train or measure the outdated runs again, or move their "
        "rows away."
    )
