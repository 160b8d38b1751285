"""The lines of the leaderboard for runs that were measured here or submitted, from results.csv."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd

from report.entry import Entry, short_id
from report.method_titles import distinct
from report.metric_names import FAMILIES, Metric, parse
from report.results import PROTOCOL, Run, failure, runs_of
from report.sample_grids import grids_of
from report.standing import deviations, is_proxy, standing


def measured_entries(results: pd.DataFrame, *rows_folders: Path) -> list[Entry]:
    """One entry per run, protocol and who measured it, judged by the first metric of FAMILIES that was measured.

    `rows_folders` are the results/<scale>/rows where pictures are looked for.
    """
    results = results.assign(method_title=_distinct_titles(results))
    proxies = set(results.loc[results["proxy"].eq(True), "protocol.name"])
    families = list(FAMILIES)
    entries = []
    # Two people may submit the same run.
    for _, rows in results.groupby(["run", "protocol.name", "source", "submitted_by"], sort=True, dropna=False):
        metrics = sorted(
            (parse(name) for name in rows["metric"].unique() if name),
            key=lambda metric: families.index(metric.family),
        )
        failed = failure(rows)
        runs = {} if failed else _runs(rows, metrics)
        entry = _named(rows, metrics[0] if metrics else None, runs, bool(failed), proxies)
        if entry.source == "measured":
            folder = next((f for f in rows_folders if (f / rows["run"].iloc[0]).is_dir()), rows_folders[0])
            entry.command = _command(rows.iloc[0], scale_of(folder))
        if failed:
            entry.status, entry.reason = failed
        else:
            _add_values(entry, metrics[0])
            if entry.source == "measured":
                run, resolution = runs[metrics[0]], int(rows["resolution"].iloc[0])
                entry.grids = list(grids_of(folder, run, entry.protocol, resolution, entry.method, entry.dataset))
        entries.append(entry)
    return entries


def _distinct_titles(results: pd.DataFrame) -> list[str]:
    """Each row's title of its method, distinct: first come those measured here, then those of a short name."""
    known = results[["method", "method_title", "source"]].drop_duplicates().itertuples(index=False)
    by_claim = sorted(known, key=lambda row: (row.source != "measured", len(row.method), row.method))
    titles = distinct((row.method, row.method_title) for row in by_claim)
    return [titles[pair] for pair in zip(results["method"], results["method_title"], strict=True)]


def _runs(rows: pd.DataFrame, metrics: list[Metric]) -> dict[Metric, Run]:
    """The run under each metric, its best snapshot chosen by the first one."""
    values = rows[["run", "method", "seed", "status", "reason", "kimg", "metric", "value"]]
    found = {}
    for metric in metrics:
        needed = values[values["metric"].isin({metric.name, metrics[0].name})]
        found[metric] = runs_of(needed, metric.name, best_by=metrics[0].name)
    return {metric: runs[0] for metric, runs in found.items() if runs}


def _named(
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
        id=short_id(row["run"], row["protocol.name"], source, str(submitter)),
        source=source,
        standing=standing(
            source,
            done=not failed,
            proxy=is_proxy(row) if metric else row["protocol.name"] in proxies,
            kimg=runs[metric].final_kimg if metric in runs else planned_kimg,
            published_kimg=published_kimg,
            deviations=deviations(row, metric),
        ),
        method=row["method_title"],
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
        facts=_facts(row),
        runs=runs,
    )


def _add_values(entry: Entry, metric: Metric) -> None:
    """The values of a run that is done."""
    run = entry.runs[metric]
    entry.best, entry.final = float(metric.shown(run.best)), float(metric.shown(run.final))
    entry.best_text, entry.final_text = metric.text(run.best), metric.text(run.final)
    entry.best_kimg, entry.kimg = float(run.best_kimg), run.final_kimg


def _facts(row: pd.Series) -> list[tuple[str, str]]:
    """The labelled facts shown when an entry is opened: protocol and provenance."""
    labels = {
        "submitted_by": "submitted by",
        "url": "described at",
        "snapshot_sha256": "snapshot's sha256",
        "run": "run",
        "n_fake": "generated images",
        "n_real": "reference images",
        "reference": "reference set",
        "protocol.extractor": "extractor",
        "protocol.extractor_sha256": "extractor's sha256",
        "protocol.input_px": "extractor's input (px)",
        "protocol.resize": "resize",
        "protocol.library": "metric library",
        "provenance.commit": "commit",
        "provenance.dirty": "changes beyond the commit",
        "provenance.torch": "torch",
        "provenance.device": "device",
        "provenance.seconds": "training (s)",
        "provenance.images_per_s": "images per second",
        "provenance.time_utc": "measured at (UTC)",
    }
    facts = []
    for key, label in labels.items():
        value = row.get(key)
        if value is None or pd.isna(value):
            continue
        if key == "provenance.dirty":
            value = "yes" if value else "none"
        facts.append((label, value if isinstance(value, str) else f"{value:,.9g}"))
    return facts


def scale_of(rows_folder: Path) -> str:
    """The scale whose rows lie in results/<scale>/rows."""
    return rows_folder.resolve().parent.name


def _command(row: pd.Series, scale: str) -> str:
    """The line that makes this entry's rows again."""
    stated = row.get("command")
    if isinstance(stated, str) and stated:
        return stated
    target = f"results/{scale}/rows/{row['run']}/{row['protocol.name']}.jsonl"
    return f"snakemake --cores all {shlex.quote(target)} --config {shlex.quote(f'scale={scale}')}"
