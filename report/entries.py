"""The lines of the leaderboard: one per measured or submitted run and protocol, one per published number.

Only entries of one group (same data set, training images, protocol and metric) and one standing are ranked together;
the protocol includes extractor, digest, input size and number of generated images.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from report.metric_names import FAMILIES, Metric, parse
from report.published import FAMILY, spread
from report.results import PROTOCOL, Run, failure, runs_of
from report.sample_grids import Grid, grids_of
from report.standing import RANKINGS, Standing, deviations, is_proxy, published_doubt, standing

SOURCES = {"measured": "measured", "reported": "published", "submitted": "submitted"}


@dataclass
class Entry:
    """One line. `best` and `final` are in the unit that `metric` names (None: no value), their texts are printed.

    `id` is the same whenever the page is written anew. `credit` says whose number it is: the paper or the submitter.
    `runs` holds what was measured per metric, the judging one first; `method_name` the plugin or composition.
    """

    id: str
    source: str
    standing: Standing
    method: str
    dataset: str
    images: int | None
    model: str
    metric: str
    protocol: str
    group: tuple
    higher_is_better: bool
    images_text: str = ""
    method_name: str = ""
    setting: dict[str, Any] = field(default_factory=dict)
    status: str = "done"
    reason: str | None = None
    doubt: str = ""
    credit: str = ""
    best: float | None = None
    best_text: str = "–"
    best_kimg: float | None = None
    final: float | None = None
    final_text: str = "–"
    spread: str = ""
    kimg: float | None = None
    planned_kimg: float | None = None
    published_kimg: float | None = None
    seed: int | None = None
    rank: int | None = None
    rank_of: int | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    command: str = ""
    runs: dict[Metric, Run] = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)

    @property
    def proxy(self) -> bool:
        return self.standing.level == "proxy"

    @property
    def length(self) -> str:
        return "–" if self.kimg is None else f"{self.kimg:,g} kimg"

    @property
    def length_note(self) -> str:
        """How far the training length is from the published one."""
        if self.source == "published":
            return "as published"
        if self.standing.share is None:
            return "none published"
        return f"{100 * self.standing.share:.2g} % of the published {self.published_kimg:,g}"

    @property
    def peers(self) -> tuple:
        """What entries must share to be ranked together; runs that are no full reproduction their length, too."""
        length = None if self.standing.level == "full" else self.planned_kimg
        return self.standing.ranking, self.standing.level, length, self.group

    def sort_keys(self) -> dict[str, Any]:
        """What the page's script sorts and filters by."""
        names = "rank method dataset images model metric best final kimg seed source protocol".split()
        return {"id": self.id, **{name: getattr(self, name) for name in names}}


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


def _distinct_titles(results: pd.DataFrame) -> pd.Series:
    """Each row's title of its method; of methods that share one, those after the first with their names.

    The first is one measured here before a submitted one, then the one of the shortest name.
    """
    names: dict[str, list[tuple]] = {}
    known = results[["method_title", "source", "method"]].drop_duplicates()
    for title, source, name in known.itertuples(index=False):
        names.setdefault(title, []).append((source != "measured", len(name), name))
    first = {title: min(found)[-1] for title, found in names.items()}
    titles = [
        title if first[title] == name else f"{title} ({name})"
        for title, name in results[["method_title", "method"]].itertuples(index=False)
    ]
    return pd.Series(titles, index=results.index, dtype=object)


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
    source, submitter = SOURCES[row["source"]], row["submitted_by"]
    return Entry(
        id=_id(row["run"], row["protocol.name"], source, str(submitter)),
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


def _id(*parts: str) -> str:
    """A short name for a line, the same whenever the page is written: links to it stay valid."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


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
        facts.append((label, value if isinstance(value, str) else f"{value:,g}"))
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


def published_entries(published: pd.DataFrame) -> list[Entry]:
    """One entry per line of published.csv; one that was not verified, or only quoted, is shown but not ranked."""
    entries = []
    for line in published.to_dict("records"):
        images, doubt = line["train_images"], published_doubt(line)
        deviation = spread(line)
        facts = {
            "paper": line["paper"],
            "place": line["artefact"],
            "protocol": line["protocol"],
            "class-conditional": line["conditional"],
            "note": "" if line["spread"] == deviation else line["spread"],
            "taken from": line["source"],
        }
        keys = ("paper", "artefact", "dataset", "train_images", "model", "conditional", "metric", "protocol", "method")
        scale = FAMILIES[FAMILY[line["metric"]]].scale if line["metric"] in FAMILY else 1.0
        entries.append(
            Entry(
                id=_id(*(line[key] for key in keys)),
                source="published",
                standing=Standing("published", "published", not doubt, ("a published number",)),
                method=line["method"],
                dataset=line["dataset"],
                images=int(images) if images.isdigit() else None,
                images_text=f"{int(images):,}" if images.isdigit() else images,
                model=line["model"],
                metric=line["metric"].replace("x1e3", "×10³"),
                protocol=line["protocol"],
                group=(line["dataset"], images, line["protocol"], line["metric"]),
                setting={"conditional": line["conditional"], "artefact": line["artefact"]},
                higher_is_better=line["metric"].startswith("IS"),
                doubt=doubt,
                credit=line["paper"],
                best=None if pd.isna(line["number"]) else line["number"] * scale,
                best_text=f"{line['value']} {deviation}".strip(),
                spread=deviation,
                facts=[(label, text) for label, text in facts.items() if text],
            )
        )
    return entries


def board_order(entry: Entry) -> tuple:
    """The page's first order: by ranking, data set, images and group, best first."""
    rank = math.inf if entry.rank is None else entry.rank
    value = math.inf if entry.best is None else -entry.best if entry.higher_is_better else entry.best
    place = entry.dataset.lower(), entry.images or math.inf, entry.status != "done", entry.group
    return list(RANKINGS).index(entry.standing.ranking), *place, rank, value, entry.seed or 0, entry.id


def rank(entries: Iterable[Entry]) -> None:
    """Set each entry's rank among its `rank_of` peers, 1 being best; equal values share a rank."""
    groups: dict[tuple, list[Entry]] = {}
    for entry in entries:
        if entry.standing.ranked and entry.best is not None:
            groups.setdefault(entry.peers, []).append(entry)
    for group in groups.values():
        values = sorted((entry.best for entry in group), reverse=group[0].higher_is_better)
        for entry in group:
            entry.rank, entry.rank_of = values.index(entry.best) + 1, len(values)
