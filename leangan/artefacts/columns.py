"""The columns of an artefact: each setting of its runs under each metric, measured by one protocol.

The runs of one method in a column have one origin (leangan/results/origin.py), and all runs in it have the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.metrics.families import compared_with, known_families
from leangan.metrics.protocols import read_protocol
from leangan.results import origin
from leangan.results.measured_runs import NO_VALUE, NOT_YET_RUN, Run, runs_of
from leangan.results.metric_names import Metric, metric_of
from leangan.results.origin import Origin, origin_of
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.row import Comparable, Row, UsedProtocol

SETTING_KEYS = ["dataset", "resolution", "images", "backbone", "preset", "conditional"]


@dataclass(frozen=True)
class Column:
    """One setting under one metric. `measured` says how, for all rows; `runs` holds every run of the setting.

    The setting's preset names several, joined by " / ", where each method has its own, as in the papers' tables.
    """

    setting: dict[str, Any]
    title: str
    metric: Metric
    measured: Comparable
    runs: list[Run]

    @property
    def proxy(self) -> bool:
        return self.measured.proxy

    def runs_of(self, method: str) -> list[Run]:
        """The runs of one method, by seed."""
        return sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)

    def finished_runs(self, method: str) -> list[Run]:
        """The runs of one method that have numbers, by seed."""
        return [run for run in self.runs_of(method) if run.status == "done"]

    @property
    def lacks_a_value(self) -> bool:
        """Whether a run has finished and been measured without a value of this metric."""
        return any(run.status == NO_VALUE for run in self.runs)


def columns_of(
    specs: list[RunSpec], rows: list[Row], content: ArtefactConfig, apart: bool, fakes: int | None, where: str
) -> list[Column]:
    """The columns of the runs in `specs`, by metric, then setting; planned ones where no run has a value yet.

    `rows` are those runs' under the protocol of `content`, the artefact's. Presets that could share a column stay
    `apart`. `fakes` is the number of generated images of planned columns, None: the protocol's.

    Raises ConfigError if one column would mix protocols or origins.
    """
    settings = _settings(specs, apart)
    families = content.layout.metrics or _families(rows)
    return _measured_columns(settings, rows, families, where) or _planned_columns(settings, rows, content, fakes)


def _families(rows: list[Row]) -> list[str]:
    """The metric families among the rows, in the order of columns."""
    present = {row.family for row in rows}
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
    settings: dict[str, list[RunSpec]], rows: list[Row], families: list[str], where: str
) -> list[Column]:
    """Those of the families that have values; none where no run has one."""
    present = set(_families(rows))
    return [
        _column(rows, (family, families[0]), title, members, where)
        for family in families
        if family in present
        for title, members in settings.items()
    ]


def _planned_columns(
    settings: dict[str, list[RunSpec]], rows: list[Row], content: ArtefactConfig, fakes: int | None
) -> list[Column]:
    """The columns of an artefact of which no run has a value yet."""
    protocol = read_protocol(content.protocol)
    count = fakes or protocol.fakes
    used = UsedProtocol.planned(protocol.name, protocol.extractor)
    columns = []
    for family in content.layout.metrics or protocol.metrics:
        reference = compared_with(family, protocol.reference)
        metric = Metric(family, count, reference or "", protocol.extractor)
        measured = Comparable(used, None, count, reference, protocol.proxy)
        for title, members in settings.items():
            columns.append(Column(_setting(members), title, metric, measured, _runs(rows, members, metric, None)))
    return columns


def _column(rows: list[Row], families: tuple[str, str], title: str, specs: list[RunSpec], where: str) -> Column:
    """The setting of `specs` under the first of `families`, the best snapshots chosen by the second."""
    group = rows_of_specs(rows, specs)
    values, judges = ([row for row in group if row.family == family] for family in families)
    for names in ({row.metric for row in values}, {row.metric for row in judges}):
        if len(names) > 1:
            raise ConfigError(f"{title} of {where} would mix {', '.join(sorted(names))} in one column.")
    # A setting without a value is described by the first that has one: the artefact's protocol is theirs too.
    described = values or [next(row for row in rows if row.family == families[0])]
    metric = metric_of(described[0])
    judge = metric_of(judges[0]) if judges else None
    measured = _one_protocol(described, f"{metric.name}, {title}, of {where}")
    _check_origins(values, f"{metric.name}, {title}, of {where}")
    return Column(_setting(specs), title, metric, measured, _runs(rows, specs, metric, judge))


def _runs(rows: list[Row], specs: list[RunSpec], metric: Metric, judge: Metric | None) -> list[Run]:
    """Every run of `specs` under `metric`, its best snapshot chosen by `judge`; those without rows are not yet run."""
    group = rows_of_specs(rows, specs)
    begun = {(row.run, row.method) for row in group}
    waiting = [spec for spec in specs if (spec.run_id, spec.method) not in begun]
    shown = {metric.name, judge.name if judge else None, ""}
    return [
        *runs_of([row for row in group if row.metric in shown], metric, best_by=judge),
        *(Run(spec.run_id, spec.method, spec.seed, NOT_YET_RUN, None, [], preset=spec.preset) for spec in waiting),
    ]


def rows_of_specs(rows: list[Row], specs: list[RunSpec]) -> list[Row]:
    """Rows of these runs with these labels."""
    labels = {(spec.run_id, spec.preset, spec.method) for spec in specs}
    return [row for row in rows if (row.run, row.preset, row.method) in labels]


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


def _one_protocol(rows: list[Row], where: str) -> Comparable:
    """How all rows were measured; ConfigError names what differs."""
    kinds = list(dict.fromkeys(row.comparable for row in rows))
    stated = [kind.values() for kind in kinds]
    for key in stated[0]:
        if len(values := dict.fromkeys(each[key] for each in stated)) > 1:
            raise ConfigError(f"{where} would mix protocols in one column: {key} is {' and '.join(map(str, values))}.")
    return kinds[0]


def _check_origins(rows: list[Row], where: str) -> None:
    """Raise ConfigError if the runs have different data, or the runs of one method different origins."""
    kinds = dict.fromkeys((row.method, row.run, tuple(origin_of(row).items())) for row in rows)
    origins: list[tuple[str, str, Origin]] = [(method, run, dict(stated)) for method, run, stated in kinds]
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
