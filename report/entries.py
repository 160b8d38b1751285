"""The lines of the leaderboard: one per measured run and protocol, one per published number.

Only entries of one group (same data set, training images, protocol and metric) are ranked together;
the protocol includes extractor, digest, input size and number of generated images, so a proxy never
meets FID and one extractor never another.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from report import curve_geometry
from report.metric_names import FAMILIES, Metric, parse
from report.results import PROTOCOL, Run, failure, mean_and_deviation, runs_of
from report.sample_grids import SIDE, data_uri, grid_path, read_grid, reals_path, tile

SOURCES = {"measured": "measured", "reported": "published", "submitted": "submitted"}
SAMPLE_PX = 240
"""The largest width of a grid on the page."""


@dataclass(frozen=True)
class Grid:
    """A picture of several images, as data URI."""

    caption: str
    alternative: str
    uri: str


@dataclass
class Entry:
    """One line. `best` and `final` are raw values for sorting (None: no value), their texts are printed."""

    source: str
    method: str
    dataset: str
    images: str
    model: str
    metric: str
    protocol: str
    group: tuple
    higher_is_better: bool
    proxy: bool = False
    status: str = "done"
    reason: str | None = None
    doubt: str = ""
    best: float | None = None
    best_text: str = "–"
    best_note: str = ""
    final: float | None = None
    final_text: str = "–"
    kimg: float | None = None
    length: str = "–"
    length_note: str = ""
    seed: int | None = None
    rank: int | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    command: str = ""
    snapshots: dict[str, dict[float, str]] = field(default_factory=dict)
    spark: curve_geometry.Curve | None = None
    chart: curve_geometry.Curve | None = None
    grids: list[Grid] = field(default_factory=list)

    def sort_keys(self) -> dict[str, Any]:
        """What the page's script sorts and filters by."""
        images = self.images.replace(",", "")
        return {
            "rank": self.rank,
            "method": self.method,
            "dataset": self.dataset,
            "images": int(images) if images.isdigit() else None,
            "model": self.model,
            "metric": self.metric,
            "best": self.best,
            "final": self.final,
            "kimg": self.kimg,
            "seed": self.seed,
            "source": self.source,
            "protocol": self.protocol,
        }


def measured_entries(results: pd.DataFrame, rows_folder: Path) -> list[Entry]:
    """One entry per run, protocol and who measured it, judged by the first metric of FAMILIES that was measured."""
    proxies = set(results.loc[results["proxy"].eq(True), "protocol.name"])
    families = list(FAMILIES)
    entries = []
    # Two people may submit the same run.
    for _, rows in results.groupby(["run", "protocol.name", "source", "submitted_by"], sort=True, dropna=False):
        metrics = sorted(
            (parse(name) for name in rows["metric"].unique() if name),
            key=lambda metric: families.index(metric.family),
        )
        entry = _named(rows, metrics[0] if metrics else None)
        if not metrics:  # a run without a number belongs beside those of its protocol
            entry.proxy = entry.protocol in proxies
        if entry.source == "measured":
            entry.command = _command(rows.iloc[0], scale_of(rows_folder))
        failed = failure(rows)
        if failed:
            entry.status, entry.reason = failed
        else:
            _add_values(entry, rows, metrics, rows_folder)
        entries.append(entry)
    return entries


def _named(rows: pd.DataFrame, metric: Metric | None) -> Entry:
    """The entry of a run before it has values."""
    row = rows[rows["metric"] == (metric.name if metric else "")].iloc[-1]
    protocol = [str(row[key]) for key in PROTOCOL if key != "n_real"]
    resolution = f"{row['resolution']:.0f} px"
    return Entry(
        source=SOURCES[row["source"]],
        method=row["method_title"],
        dataset=f"{row['dataset']} {resolution}",
        images=f"{row['images']:,.0f}",
        model=f"{row['backbone']} ({row['preset']})",
        metric=metric.label if metric else "–",
        protocol=row["protocol.name"],
        group=(row["dataset"], resolution, str(row["images"]), metric.name if metric else "", *protocol),
        higher_is_better=bool(metric and metric.higher_is_better),
        proxy=bool(row["proxy"]),
        seed=int(row["seed"]),
        facts=_facts(row),
    )


def _add_values(entry: Entry, rows: pd.DataFrame, metrics: list[Metric], rows_folder: Path) -> None:
    """Values, curves and samples of a run that is done; the first metric judges its snapshots."""
    metric, row = metrics[0], rows.iloc[0]
    run = runs_of(rows, metric.name)[0]
    entry.best, entry.final, entry.kimg = run.best, run.final, run.final_kimg
    entry.best_text, entry.best_note = metric.text(run.best), f"at {run.best_kimg:,g} kimg"
    entry.final_text = metric.text(run.final)
    entry.length = f"{run.final_kimg:,g} kimg"
    if row["published_kimg"] > 0:
        share = 100 * run.final_kimg / row["published_kimg"]
        entry.length_note = f"{share:.2g} % of the published {row['published_kimg']:,g}"
    entry.snapshots = {
        metric.label: {kimg: metric.text(value) for kimg, value in runs_of(rows, metric.name)[0].curve}
        for metric in metrics
    }
    shown = [(kimg, metric.shown(value)) for kimg, value in run.curve]
    entry.spark = curve_geometry.curve(shown, run.best_kimg, 96, 24, (3, 3, 3, 3))
    entry.chart = curve_geometry.curve(shown, run.best_kimg, 380, 210, (48, 12, 12, 36))
    if entry.source == "measured":
        entry.grids = list(_grids(rows_folder, run, entry, int(row["resolution"])))


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


def _grids(rows_folder: Path, run: Run, entry: Entry, resolution: int) -> Iterator[Grid]:
    """The best and the final snapshot's images, then training images; those whose file is not there are left out."""
    kimgs = dict.fromkeys((run.best_kimg, run.final_kimg))
    kinds = ["best and final"] if len(kimgs) == 1 else ["best", "final"]
    found = [
        (
            grid_path(rows_folder, run.run, kimg),
            f"Samples, {kind}, {kimg:g} kimg",
            f"Generated images of {entry.method}",
        )
        for kind, kimg in zip(kinds, kimgs, strict=True)
    ]
    found.append((reals_path(rows_folder, run.run), "Training images", f"Training images of {entry.dataset}"))
    found.append(
        (
            rows_folder / run.run / f"neighbours-{entry.protocol}.png",
            "Twice a fake and the three training images nearest to it: the first fakes, the likeliest copies",
            f"Generated images of {entry.method} beside the training images nearest to them",
        )
    )
    for path, *names in found:
        if path.exists():
            yield Grid(*names, data_uri(tile(read_grid(path, resolution)[:SIDE, :SIDE]), SAMPLE_PX))


def published_entries(published: pd.DataFrame) -> list[Entry]:
    """One entry per line of published.csv; a number not verified at its source is shown but not ranked."""
    entries = []
    for line in published.to_dict("records"):
        images = line["train_images"]
        spread = f" {line['spread']}" if line["spread"].startswith("±") else ""
        facts = {
            "paper": line["paper"],
            "place": line["artefact"],
            "protocol": line["protocol"],
            "class-conditional": line["conditional"],
            "note": "" if spread else line["spread"],
            "taken from": line["source"],
        }
        entries.append(
            Entry(
                source="published",
                method=line["method"],
                dataset=line["dataset"],
                images=f"{int(images):,}" if images.isdigit() else images,
                model=line["model"],
                metric=line["metric"].replace("x1e3", "×10³"),
                protocol=line["protocol"],
                group=(line["dataset"], images, line["protocol"], line["metric"]),
                higher_is_better=line["metric"] == "IS",
                doubt="" if line["verified"] == "yes" else "not verified at its source",
                best=None if pd.isna(line["number"]) else line["number"],
                best_text=line["value"] + spread,
                facts=[(label, text) for label, text in facts.items() if text],
            )
        )
    return entries


def board_order(entry: Entry) -> tuple:
    """The page's first order: measured before published, then by data set, images and group, best first."""
    images = entry.sort_keys()["images"]
    rank = math.inf if entry.rank is None else entry.rank
    place = entry.dataset.lower(), images or math.inf, entry.status != "done", entry.group
    return entry.source == "published", *place, rank, entry.seed or 0


def rank(entries: list[Entry]) -> None:
    """Set each entry's rank within its group, 1 being best; equal values share a rank."""
    for group in _groups(entries).values():
        values = sorted((e.best for e in group if _ranked(e)), reverse=group[0].higher_is_better)
        for entry in filter(_ranked, group):
            entry.rank = values.index(entry.best) + 1


def _ranked(entry: Entry) -> bool:
    return entry.best is not None and entry.status == "done" and not entry.doubt


def _groups(entries: list[Entry]) -> dict[tuple, list[Entry]]:
    groups: dict[tuple, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    return groups


@dataclass(frozen=True)
class Summary:
    """The mean over seeds of one method in one group, as text."""

    method: str
    seeds: int
    best: str
    final: str
    winner: bool


def summaries(entries: list[Entry]) -> list[tuple[Entry, list[Summary]]]:
    """Per group of measured entries: one of them (for its names), and each method's mean, best first."""
    found = []
    for group in _groups([e for e in entries if e.source == "measured" and e.status == "done"]).values():
        metric = parse(group[0].group[3])
        lines = []
        for method in dict.fromkeys(entry.method for entry in group):
            runs = [entry for entry in group if entry.method == method]
            best, final = ([getattr(run, kind) for run in runs] for kind in ("best", "final"))
            lines.append(
                (
                    mean_and_deviation(best)[0],
                    method,
                    len(runs),
                    _mean_text(metric, best),
                    _mean_text(metric, final),
                )
            )
        lines.sort(key=lambda line: line[0], reverse=metric.higher_is_better)
        found.append((group[0], [Summary(*line[1:], winner=line is lines[0]) for line in lines]))
    return found


def _mean_text(metric: Metric, values: list[float]) -> str:
    mean, deviation = mean_and_deviation(values)
    return metric.text(mean) + ("" if deviation is None else f" ± {metric.text(deviation)}")
