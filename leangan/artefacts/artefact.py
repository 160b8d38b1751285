"""An artefact (config/artefacts/*.yaml) for its tables and figures: its runs, what was measured of them, its layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from leangan.artefacts import layout
from leangan.artefacts.columns import Column, columns_of, rows_of_specs
from leangan.core.errors import check_names
from leangan.core.spec import RunSpec
from leangan.results.judges import plugins_of_spec, why_unranked
from leangan.results.method_titles import distinguish_titles
from leangan.results.published import PublishedNumber, find_published
from leangan.runs.artefact_sections import ArtefactConfig, Expectation, PublishedPart, Sweep
from leangan.runs.row import Row
from leangan.runs.sections import AUTO


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
    `sweep` is that of the layout, `reported` all published numbers (of `results.published`), `expectation` what
    papers say of methods without numbers (leangan/artefacts/agreement.py).
    """

    title: str
    caption: str
    specs: list[RunSpec]
    methods: dict[str, str]
    columns: list[Column]
    published: PublishedPart | None
    where: str
    groups: list[Group] = field(default_factory=list)
    training: list[str] = field(default_factory=list)
    sweep: Sweep | None = None
    reported: Sequence[PublishedNumber] = ()
    expectation: Expectation | None = None

    @property
    def first_columns(self) -> list[Column]:
        """The columns of the first metric, one per setting."""
        return [column for column in self.columns if column.metric.family == self.columns[0].metric.family]

    @property
    def main_columns(self) -> list[Column]:
        """What figures draw: those of `first_columns` of which a run has numbers."""
        return [column for column in self.first_columns if any(map(column.finished_runs, self.methods))]

    @property
    def main_methods(self) -> dict[str, str]:
        """What figures draw: the methods of which a run in `main_columns` has numbers."""
        columns = self.main_columns
        return {
            name: title for name, title in self.methods.items() if any(column.finished_runs(name) for column in columns)
        }

    @cached_property
    def spec_of(self) -> dict[str, RunSpec]:
        """The specs by run id."""
        return {spec.run_id: spec for spec in self.specs}

    def published_line(self, column: Column, method: str) -> PublishedNumber | None:
        """The published number of a method in a column, which must have the method; None: there is none."""
        if self.published is None or not column.runs_of(method):
            return None
        return find_published(self.published, self.reported, column.setting, method, column.metric, column.proxy)

    def unranked(self, column: Column, method: str) -> str:
        """Why the numbers of a method in a column do not rank it; "" where they do, or `only` left it out."""
        specs = [self.spec_of[run.run] for run in column.runs_of(method) if run.run in self.spec_of]
        return why_unranked((name for spec in specs for name in plugins_of_spec(spec)), column.metric.extractor)

    def only(self, methods: list[str]) -> Artefact:
        """The same with these methods alone, in this order; ConfigError for one that it does not have."""
        check_names("method", methods, self.methods, f"figures: of {self.where}")
        groups = [replace(group, methods=[m for m in group.methods if m in methods]) for group in self.groups]
        kept = {name: self.methods[name] for name in methods}
        specs = [spec for spec in self.specs if spec.method in kept]
        return replace(self, methods=kept, specs=specs, groups=[group for group in groups if group.methods])


def load_artefact(
    name: str,
    content: ArtefactConfig,
    specs: list[RunSpec],
    rows: list[Row],
    reported: Sequence[PublishedNumber] = (),
    fakes: int | None = None,
) -> Artefact:
    """The artefact with the rows of its runs alone: `specs` (of `runs.grid.expand`) under the protocol of
    `content`.

    `reported` (of read_published) is needed where the layout names published numbers. `fakes` is how many generated
    images the scale measures with, which names the metrics before any run has a value; None: the protocol's.

    Raises ConfigError if the layout names an unknown metric, quantity or method, or if one column would mix protocols
    or origins.
    """
    where = f"config/artefacts/{name}.yaml"
    titled = all(grid.title for grid in content.grid)
    titles = distinguish_titles((spec.method, spec.labels.title) for spec in specs)
    methods = {method: title for (method, _), title in titles.items()}
    layout.check_layout(content.layout, methods, titled, where)
    measured = [row for row in rows if row.source == "measured" and row.protocol.name == content.protocol]
    columns = columns_of(specs, rows_of_specs(measured, specs), content, titled, fakes, where)
    return Artefact(
        title=content.title,
        caption=content.layout.caption or content.title,
        specs=specs,
        methods=methods,
        columns=columns,
        where=where,
        groups=_groups(content, columns) if titled else [],
        training=content.layout.training,
        sweep=content.layout.sweep,
        reported=reported,
        published=content.layout.published,
        expectation=content.expectation,
    )


def _groups(content: ArtefactConfig, columns: list[Column]) -> list[Group]:
    """The titled grids in each of their settings; methods that no grid has (of the command line) come last."""
    of_setting: dict[tuple, list[Column]] = {}
    for column in columns:
        of_setting.setdefault(tuple(column.setting.values()), []).append(column)
    groups = []
    for grid in content.grid:
        settings = [own for own in of_setting.values() if {AUTO, own[0].setting["preset"]} & set(grid.preset)]
        for own in settings:
            title = grid.title if len(settings) == 1 else f"{grid.title}, {own[0].title}"
            groups.append(Group(title, [method for method in grid.method if own[0].runs_of(method)], own))
    for own in of_setting.values():
        grouped = {method for group in groups if group.columns is own for method in group.methods}
        added = [method for method in dict.fromkeys(run.method for run in own[0].runs) if method not in grouped]
        if added:
            groups.append(Group(f"Added, {own[0].title}", added, own))
    return groups
