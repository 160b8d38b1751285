"""The lines of the leaderboard for runs that were measured here or submitted, from results.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from leangan.leaderboard.commands import command_of
from leangan.leaderboard.entry import Entry, short_id
from leangan.leaderboard.facts import facts_of
from leangan.leaderboard.set_ups import tell_apart
from leangan.leaderboard.standing import find_departures, is_proxy, standing
from leangan.metrics.families import known_families
from leangan.plugins import registry
from leangan.results.measured_runs import Run, failure, runs_of
from leangan.results.method_titles import distinguish_titles
from leangan.results.metric_names import Metric, parse
from leangan.results.origin import origin_of
from leangan.results.sample_grids import grids_of
from leangan.results.spec_file import SpecFile, read_spec
from leangan.results.table import PROTOCOL


def measured_entries(results: pd.DataFrame, *rows_dirs: Path) -> list[Entry]:
    """One entry for each run, label, protocol and submitter, judged by the first metric that it was measured by.

    `rows_dirs` are the results/<scale>/rows that are searched for spec.json and pictures.
    """
    results = results.assign(method_title=_distinct_titles(results))
    proxies = set(results.loc[results["proxy"].eq(True), "protocol.name"])
    order = list(known_families())
    entries = []
    specs: dict[str, SpecFile] = {}
    folders: dict[str, Path] = {}
    # Two people may submit the same run.
    keys = ["run", "preset", "method", "protocol.name", "source", "submitted_by"]
    for _, rows in results.groupby(keys, sort=True, dropna=False):
        metrics = sorted(
            (parse(name) for name in rows["metric"].unique() if name),
            key=lambda metric: order.index(metric.family),
        )
        failed = failure(rows)
        runs = {} if failed else _runs(rows, metrics)
        entry = _entry_without_values(rows, metrics[0] if metrics else None, runs, bool(failed), proxies)
        if failed:
            entry.status, entry.reason = failed
        else:
            _add_values(entry, metrics[0])
        if entry.source == "measured":
            folder = folders[entry.id] = next((f for f in rows_dirs if (f / entry.run).is_dir()), rows_dirs[0])
            if (stated := read_spec(folder / entry.run)) is not None:
                specs[entry.id] = stated
            entry.command = command_of(entry.run, entry.protocol, scale_of(folder), stated)
        entries.append(entry)
    tell_apart(entries, {key: stated.spec for key, stated in specs.items()})
    for entry in entries:
        if entry.id in folders and entry.runs:
            run = next(iter(entry.runs.values()))
            resolution = int(entry.setting["resolution"])
            grids = grids_of(folders[entry.id], run, entry.protocol, resolution, entry.method, entry.dataset)
            entry.grids = list(grids)
    return entries


def _distinct_titles(results: pd.DataFrame) -> list[str]:
    """Each row's title of its method, distinct.

    First come methods measured here, then those named as their file is, then those of a short name.
    """
    files = set(registry.names("method"))
    known = results[["method", "method_title", "source"]].drop_duplicates().itertuples(index=False)
    by_claim = sorted(
        known, key=lambda row: (row.source != "measured", row.method not in files, len(row.method), row.method)
    )
    titles = distinguish_titles((row.method, row.method_title) for row in by_claim)
    return [titles[pair] for pair in zip(results["method"], results["method_title"], strict=True)]


def _runs(rows: pd.DataFrame, metrics: list[Metric]) -> dict[Metric, Run]:
    """The run under each metric, its best snapshot chosen by the first one."""
    values = rows[["run", "method", "preset", "seed", "status", "reason", "kimg", "metric", "value"]]
    found = {}
    for metric in metrics:
        needed = values[values["metric"].isin({metric.name, metrics[0].name})]
        found[metric] = runs_of(needed, metric.name, best_by=metrics[0].name)
    return {metric: runs[0] for metric, runs in found.items() if runs}


def _entry_without_values(
    rows: pd.DataFrame, metric: Metric | None, runs: dict[Metric, Run], failed: bool, proxies: set[str]
) -> Entry:
    """The entry of a run before it has values. A run without a number belongs beside those of its protocol."""
    row = rows[rows["metric"] == (metric.name if metric else "")].iloc[-1]
    identity = [str(row[key]) for key in PROTOCOL if key != "n_real"]
    resolution = f"{row['resolution']:.0f} px"
    published_kimg = float(row["published_kimg"]) if row["published_kimg"] > 0 else None
    planned_kimg = float(row["total_kimg"]) if row["total_kimg"] > 0 else None
    source, submitter = row["source"], row["submitted_by"]
    return Entry(
        id=short_id(row["run"], row["preset"], row["method"], row["protocol.name"], source, str(submitter)),
        source=source,
        run=row["run"],
        set_up=row["setting"] if isinstance(row["setting"], str) else None,
        origin=origin_of(row),
        standing=standing(
            source,
            done=not failed,
            proxy=is_proxy(row) if metric else row["protocol.name"] in proxies,
            kimg=runs[metric].final_kimg if metric in runs else planned_kimg,
            published_kimg=published_kimg,
            departures=find_departures(row, metric),
        ),
        method=row["method_title"],
        method_title=row["method_title"],
        method_name=row["method"],
        dataset=f"{row['dataset']} {resolution}",
        images=int(row["images"]),
        images_text=f"{row['images']:,.0f}",
        model=f"{row['backbone']} ({row['preset']}){', conditional' if row['conditional'] else ''}",
        metric=metric.label if metric else "–",
        protocol=row["protocol.name"],
        group=(row["dataset"], resolution, str(row["images"]), metric.name if metric else "", *identity),
        setting={key: row[key] for key in ("dataset", "resolution", "backbone", "preset", "conditional")},
        higher_is_better=bool(metric and metric.higher_is_better),
        credit="" if pd.isna(submitter) else submitter,
        planned_kimg=planned_kimg,
        published_kimg=published_kimg,
        seed=int(row["seed"]),
        facts=facts_of(row, _snapshots(rows, runs[metric]) if metric in runs else {}),
        runs=runs,
    )


def _snapshots(rows: pd.DataFrame, run: Run) -> dict[str, str]:
    """The sha256 of a run's best and final snapshot, as far as its rows state them."""
    if "snapshot_sha256" not in rows:
        return {}
    stated = rows.dropna(subset=["snapshot_sha256"]).set_index("kimg")["snapshot_sha256"].to_dict()
    kimgs = {"best": run.best_kimg, "final": run.final_kimg}
    return {kind: stated[kimg] for kind, kimg in kimgs.items() if kimg in stated}


def _add_values(entry: Entry, metric: Metric) -> None:
    """The values of a run that is done."""
    run = entry.runs[metric]
    entry.best, entry.final = float(metric.in_label_unit(run.best)), float(metric.in_label_unit(run.final))
    entry.best_text, entry.final_text = metric.text(run.best), metric.text(run.final)
    entry.best_kimg, entry.kimg = float(run.best_kimg), run.final_kimg


def scale_of(rows_dir: Path) -> str:
    """The scale whose rows lie in results/<scale>/rows."""
    return rows_dir.resolve().parent.name
