"""The lines of the leaderboard for runs that were measured here or submitted, from their rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from leangan.leaderboard.commands import at_commit, command_of
from leangan.leaderboard.entry import Entry, short_id
from leangan.leaderboard.facts import facts_of
from leangan.leaderboard.set_ups import tell_apart
from leangan.leaderboard.standing import find_departures, standing
from leangan.metrics.families import known_families
from leangan.plugins import registry
from leangan.plugins.revisions import in_words, other_revisions
from leangan.results.judges import plugins_of_row, plugins_of_spec, why_unranked
from leangan.results.measured_runs import Run, failure, runs_of
from leangan.results.method_titles import distinguish_titles
from leangan.results.metric_names import Metric, metric_of
from leangan.results.origin import origin_of
from leangan.results.sample_grids import Grid, grids_of
from leangan.results.spec_file import SpecFile, read_spec
from leangan.runs.row import Row

NOT_STATED = "nan"
"""How ids and groups write what a row does not state. Links to lines and pictures of the page are digests of these."""


def measured_entries(rows: Iterable[Row], *rows_dirs: Path) -> list[Entry]:
    """One entry for each run, label, protocol and submitter, judged by the first metric that it was measured by.

    `rows_dirs` are the results/<scale>/rows that are searched for spec.json and pictures.
    """
    rows = list(rows)
    titles = _distinct_titles(rows)
    proxies = {row.protocol.name for row in rows if row.proxy}
    by_run: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:  # two people may submit the same run
        key = row.run, row.preset, row.method, row.protocol.name, row.source, row.submitted_by or ""
        by_run.setdefault(key, []).append(row)
    folders: dict[str, Path] = {}
    specs: dict[str, SpecFile] = {}
    entries = []
    for _, of_run in sorted(by_run.items()):
        first = of_run[0]
        folder = _folder_of(first, rows_dirs)
        stated = None if folder is None else read_spec(folder / first.run)
        entry = _entry(of_run, titles[first.method, first.method_title], proxies, stated)
        if folder is not None:
            folders[entry.id] = folder
            if stated is not None:
                specs[entry.id] = stated
            scale = scale_of(folder) if stated is None else stated.config.get("scale", scale_of(folder))
            command = command_of(entry.run, entry.protocol, scale, stated)
            if stated is not None and (others := other_revisions(stated.spec, *stated.spec.ancestors())):
                note = "revision", f"{in_words(others)}: the present code trains another run in its place"
                entry = dataclasses.replace(entry, facts=[*entry.facts, note])
                command = at_commit(first.provenance.commit, command)
            entry = dataclasses.replace(entry, scale=scale, command=command)
        entries.append(entry)
    told_apart = tell_apart(entries, {key: stated.spec for key, stated in specs.items()})
    return [dataclasses.replace(entry, grids=_grids(entry, folders.get(entry.id))) for entry in told_apart]


def _folder_of(row: Row, rows_dirs: Sequence[Path]) -> Path | None:
    """Of `rows_dirs`, the one with the folder of a run measured here; None for a submitted row."""
    if row.source != "measured":
        return None
    return next((folder for folder in rows_dirs if (folder / row.run).is_dir()), rows_dirs[0])


def _distinct_titles(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Distinct titles by the name and the title of a method in the rows.

    First come methods measured here, then those named as their file is, then those of a short name.
    """
    files = set(registry.names("method"))
    known = dict.fromkeys((row.source != "measured", row.method, row.method_title) for row in rows)
    by_claim = sorted(known, key=lambda claim: (claim[0], claim[1] not in files, len(claim[1]), claim[1]))
    return distinguish_titles((method, title) for _, method, title in by_claim)


def _entry(rows: Sequence[Row], title: str, proxies: set[str], stated: SpecFile | None) -> Entry:
    """The entry of the rows of one run. A run without a number is listed with its protocol's runs.

    It is judged by its first metric that has a value, and the reason names those that have none.

    `proxies` are the protocols whose numbers are proxies, `stated` is the run's spec.json, where it has one.

    Title, command and pictures are not complete yet.
    """
    order = list(known_families())
    known = dict.fromkeys(metric_of(row) for row in rows if row.family)
    metrics = sorted(known, key=lambda each: order.index(each.family))
    failed = failure(rows)
    measured = [] if failed else [each for each in metrics if any(row.value is not None for row in _of(rows, each))]
    metric = next(iter(measured or metrics), None)
    runs = _runs(rows, measured)
    run = runs.get(metric) if metric else None
    row = _of(rows, metric)[-1]
    resolution = f"{row.resolution} px"
    planned_kimg = None if row.total_kimg is None else float(row.total_kimg)
    published_kimg = float(row.published_kimg) if row.published_kimg else None
    plugins = dict.fromkeys([*plugins_of_row(row), *(plugins_of_spec(stated.spec) if stated else [])])
    unranked = why_unranked(plugins, metric.extractor) if metric and run else ""
    used = {key: value for key, value in row.comparable.values().items() if key != "n_real"}
    return Entry(
        id=short_id(row.run, row.preset, row.method, row.protocol.name, row.source, row.submitted_by or NOT_STATED),
        source=row.source,
        run=row.run,
        set_up=row.setting,
        origin=origin_of(row),
        standing=standing(
            row.source,
            done=failed is None,
            proxy=row.proxy if metric else row.protocol.name in proxies,
            kimg=run.final_kimg if run else planned_kimg,
            published_kimg=published_kimg,
            departures=find_departures(row),
            unranked=unranked,
        ),
        doubt=unranked,
        method=title,
        method_title=title,
        method_name=row.method,
        plugins=tuple(plugins),
        dataset=f"{row.dataset} {resolution}",
        images=row.images,
        images_text=f"{row.images:,}",
        model=f"{row.backbone} ({row.preset}){', conditional' if row.conditional else ''}",
        metric=metric.label if metric else "–",
        protocol=row.protocol.name,
        group=(row.dataset, resolution, str(row.images), row.metric, *map(_text, used.values())),
        setting={key: getattr(row, key) for key in ("dataset", "resolution", "backbone", "preset", "conditional")},
        higher_is_better=bool(metric and metric.higher_is_better),
        credit=row.submitted_by or "",
        planned_kimg=planned_kimg,
        published_kimg=published_kimg,
        seed=row.seed,
        facts=facts_of(row, _snapshots(rows, run) if run else {}),
        runs=runs,
        status=failed.status if failed else "done",
        reason=failed.reason if failed else _lacking(rows, metrics),
        **(_values(metric, run) if metric and run else {}),
    )


def _of(rows: Iterable[Row], metric: Metric | None) -> list[Row]:
    """The rows of a metric; None: those of a run without any."""
    return [row for row in rows if row.metric == (metric.name if metric else "")]


def _lacking(rows: Sequence[Row], metrics: list[Metric]) -> str | None:
    """Which metrics have no value, and why; None where all have one."""
    said = [f"{metric.label}: {run.reason}" for metric in metrics for run in runs_of(rows, metric) if run.reason]
    return "; ".join(said) or None


def _runs(rows: Sequence[Row], metrics: list[Metric]) -> dict[Metric, Run]:
    """The run under each metric, its best snapshot chosen by the first one."""
    found = {metric: runs_of(rows, metric, best_by=metrics[0]) for metric in metrics}
    return {metric: runs[0] for metric, runs in found.items() if runs}


def _text(value: object) -> str:
    return NOT_STATED if value is None else str(value)


def _snapshots(rows: Iterable[Row], run: Run) -> dict[str, str]:
    """The sha256 of a run's best and final snapshot, as far as its rows state them."""
    stated = {row.kimg: row.snapshot_sha256 for row in rows if row.snapshot_sha256 is not None}
    kimgs = {"best": run.best_kimg, "final": run.final_kimg}
    return {kind: stated[kimg] for kind, kimg in kimgs.items() if kimg in stated}


def _values(metric: Metric, run: Run) -> dict[str, Any]:
    """The values of a finished run."""
    return {
        "best": metric.in_label_unit(run.best),
        "best_text": metric.text(run.best),
        "best_kimg": run.best_kimg,
        "final": None if isnan(run.final) else metric.in_label_unit(run.final),
        "final_text": metric.text(run.final),
        "kimg": run.final_kimg,
    }


def _grids(entry: Entry, folder: Path | None) -> list[Grid]:
    """The pictures of an entry, whose run is in a folder of rows."""
    if folder is None or not entry.runs:
        return []
    run = next(iter(entry.runs.values()))
    return list(grids_of(folder, run, entry.protocol, entry.setting["resolution"], entry.method, entry.dataset))


def scale_of(rows_dir: Path) -> str:
    """The scale whose rows lie in results/<scale>/rows."""
    return rows_dir.resolve().parent.name
