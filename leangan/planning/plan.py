"""What a configuration will run, before anything starts: `snakemake plan`, or `leangan plan [--json]`.

A table of the artefacts, each run counted once, with the first artefact that needs it: what is there already, the
images still to be shown, the hours on each type of device that something is known of, and the space on the disk. Where
the numbers come from: leangan/planning/cost.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import read_json
from leangan.core.project import ROOT
from leangan.data.known_sets import find_test_split, locate
from leangan.data.outline import description
from leangan.data.report import sentence
from leangan.metrics.protocols import check_protocol, read_protocol
from leangan.planning import cost
from leangan.planning.own_data import describe_sets
from leangan.runs.cells import Cell, cells
from leangan.runs.choices import outline_of
from leangan.runs.config import add_config_option, artefact, load_config, source_faults
from leangan.runs.sections import Config

TRAINED, BEGUN, TO_DO, REFUSED = "trained", "begun", "to do", "refused"


@dataclass
class PlannedRun:
    """One run: how far it is, and what of it is still to do. `protocols` are those it is measured under.

    `training_hours` and `measuring_hours` are what is left, by device, empty where the cost is unknown (or nothing is
    left: see `state` and `to_measure`); `disk_bytes` are those of the whole run by what they hold, `measuring_bytes`
    those of features, which lie there until they are measured.
    """

    run: str
    artefact: str
    state: str
    kimg: float
    shown_kimg: float
    reason: str | None = None
    protocols: list[str] = field(default_factory=list)
    to_measure: list[str] = field(default_factory=list)
    training_hours: dict[str, float] = field(default_factory=dict)
    measuring_hours: dict[str, float] = field(default_factory=dict)
    disk_bytes: dict[str, int] = field(default_factory=dict)
    measuring_bytes: int = 0


def shown_kimg(run_dir: Path) -> float:
    """Thousands of images that a run has been shown, by the last line of its log; 0 for one that has none."""
    lines = (run_dir / "train.jsonl").read_text().splitlines() if (run_dir / "train.jsonl").exists() else []
    try:
        return json.loads(lines[-1])["kimg"] if lines else 0.0
    except (ValueError, KeyError):  # a line that is being written
        return 0.0


def plan_runs(config: Config, members_of: dict[str, list[Cell]], rates: cost.Rates) -> dict[str, PlannedRun]:
    """All runs of the artefacts by their ids, in order, each with the first artefact that needs it."""
    scale, results = config.scale, ROOT / "results" / config.scale
    runs: dict[str, PlannedRun] = {}
    for name, members in members_of.items():
        for cell in members:
            spec = cell.spec
            if spec.run_id not in runs:
                runs[spec.run_id] = _planned(name, cell, results, rates)
            run = runs[spec.run_id]
            if cell.refused or cell.protocol is None or cell.protocol in run.protocols:
                continue
            run.protocols.append(cell.protocol)
            if not (results / "rows" / spec.run_id / f"{cell.protocol}.jsonl").exists():
                run.to_measure.append(cell.protocol)
                _add(run.measuring_hours, cost.measuring_hours(spec, cell.protocol, scale))
                run.measuring_bytes = max(run.measuring_bytes, cost.feature_bytes(spec, cell.protocol, scale))
    return runs


def _planned(name: str, cell: Cell, results: Path, rates: cost.Rates) -> PlannedRun:
    """A run before it is known under which protocols it is measured."""
    spec = cell.spec
    run = PlannedRun(spec.run_id, name, TO_DO, spec.total_kimg, 0.0)
    if cell.refused:
        run.state, run.reason = REFUSED, ": ".join(cell.refused)
        return run
    run_dir = results / "runs" / spec.run_id
    # Rows that came without their run, as in a fresh clone, need no training either.
    if (run_dir / "train.json").exists() or (results / "rows" / spec.run_id / f"{cell.protocol}.jsonl").exists():
        run.state, run.shown_kimg = TRAINED, spec.total_kimg
    elif shown := shown_kimg(run_dir):
        run.state, run.shown_kimg = BEGUN, min(shown, spec.total_kimg)
    left = 1 - run.shown_kimg / spec.total_kimg
    if left:
        run.training_hours = {device: left * value for device, value in cost.training_hours(spec, rates).items()}
    run.disk_bytes = cost.disk_bytes(spec)
    return run


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def totals(runs: Iterable[PlannedRun]) -> dict[str, Any]:
    """Counts by state, kimg, hours by device and bytes of some runs; `unknown` counts those whose cost is not known."""
    runs = list(runs)
    training: dict[str, float] = {}
    measuring: dict[str, float] = {}
    disk: dict[str, float] = {}
    for run in runs:
        _add(training, run.training_hours)
        _add(measuring, run.measuring_hours)
        _add(disk, run.disk_bytes)
    open_runs = [run for run in runs if run.state in (BEGUN, TO_DO)]
    return {
        "runs": len(runs),
        "states": dict(Counter(run.state for run in runs)),
        "kimg": sum(run.kimg for run in runs if run.state != REFUSED),
        "kimg_to_do": sum(run.kimg - run.shown_kimg for run in open_runs),
        "training_hours": training,
        "measuring_hours": measuring,
        "unknown": {
            "training": sum(not run.training_hours for run in open_runs),
            "measuring": sum(bool(run.to_measure) and not run.measuring_hours for run in runs),
        },
        "disk_bytes": disk,
        "measuring_bytes": max((run.measuring_bytes for run in runs), default=0),
    }


def data_of(members: list[Cell]) -> Iterator[tuple[str, int, str]]:
    """(set, resolution, split) of everything that the runs of `members` read."""
    needed: dict[tuple[str, int, str], None] = {}
    for cell in members:
        if not cell.refused:
            needed[cell.spec.dataset, cell.spec.resolution, "full"] = None
            if cell.protocol and read_protocol(cell.protocol).reference == "test":
                needed[cell.spec.dataset, cell.spec.resolution, "test"] = None
    yield from needed


def missing_data(members: list[Cell], config: Config) -> Iterator[str]:
    """A line for each path of `config` that leads to no images, and for each data set that the runs of `members` read
    and that is neither prepared nor in its place.
    """
    yield from (f"missing: {fault}" for fault in source_faults(config))
    for dataset, resolution, split in data_of(members):
        try:
            name = find_test_split(dataset) if split == "test" else dataset
            if config.path_of(name) is None and not (ROOT / f"resources/data/{name}-{resolution}.npy").exists():
                locate(name)
        except ConfigError as error:
            yield f"missing: {error}"


def prepared_sets(members: list[Cell], config: Config) -> Iterator[dict[str, Any]]:
    """The descriptions of the sets that the runs of `members` read, if prepared from their files as they are."""
    for dataset, resolution, split in data_of(members):
        with suppress(ConfigError):  # a set without a test split, or a damaged file, which preparation mends
            name = find_test_split(dataset) if split == "test" else dataset
            file = ROOT / f"resources/data/{name}-{resolution}.json"
            path = config.path_of(name)
            if not file.exists() or not file.with_suffix(".npy").exists():
                continue
            if meta := read_json(file) if path is None else description(name, resolution, path):
                yield meta


def prepared_bytes(members: list[Cell], config: Config) -> int:
    """Bytes of the prepared arrays, as far as the sizes of the sets are known."""
    total = 0
    for dataset, resolution, split in data_of(members):
        with suppress(ConfigError):  # a set without a test split, which `missing_data` tells
            name = find_test_split(dataset) if split == "test" else dataset
            total += (outline_of(name, resolution, config).count or 0) * 3 * resolution**2
    return total


def summary(config: Config) -> dict[str, Any]:
    """The plan in numbers: every run, the totals of each artefact and of all, the data that is missing."""
    members_of = cells(config)
    for name in members_of:
        check_protocol(read_protocol(artefact(name).protocol))
    rates = cost.measured_rates(ROOT / "results")
    runs = plan_runs(config, members_of, rates)
    members = [cell for each in members_of.values() for cell in each]
    return {
        "scale": config.scale,
        "artefacts": {
            name: {
                "title": artefact(name).title,
                "protocol": artefact(name).protocol,
                "shared": sum(runs[cell.spec.run_id].artefact != name for cell in members_of[name]),
                **totals(run for run in runs.values() if run.artefact == name),
            }
            for name in members_of
        },
        "total": totals(runs.values()),
        "sources": list(cost.sources((cell.spec for cell in members if not cell.refused), rates)),
        "data_sets": list(dict.fromkeys(describe_sets(members_of, config))),
        "prepared_bytes": prepared_bytes(members, config),
        "prepared": [
            {**{key: each.get(key) for key in ("name", "resolution", "count", "preparation")}, "said": sentence(each)}
            for each in prepared_sets(members, config)
        ],
        "missing": list(dict.fromkeys(missing_data(members, config))),
        "runs": [asdict(run) for run in runs.values()],
    }


def _size(count: float) -> str:
    """Bytes for people: 7.7 MB, 12 TB."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.2g} {units[power]}" if count < 99.5 else f"{count:.0f} {units[power]}"


def _hours(value: float) -> str:
    if not value:
        return "-"
    return f"{value:,.0f} h" if value >= 10 else f"{value:.1f} h" if value >= 1 else f"{value * 60:.0f} min"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def describe(config: Config) -> Iterator[str]:
    """The plan in lines: a table of the artefacts, what the hours rest on, which data is to be fetched by hand."""
    plan = summary(config)
    total, states = plan["total"], plan["total"]["states"]
    columns = [(kind, device) for kind in ("training", "measuring") for device in sorted(total[f"{kind}_hours"])]
    header = ["artefact", "runs", "shared", TRAINED, BEGUN, TO_DO, "kimg to do"]
    header += [f"{kind} on {device}" for kind, device in columns]
    lines = [[*header, "cost unknown", "disk"]]
    for name, each in [*plan["artefacts"].items(), ("all, each run once", {**total, "shared": ""})]:
        counts = [each["states"].get(state, 0) for state in (TRAINED, BEGUN, TO_DO)]
        hours = [_hours(each[f"{kind}_hours"].get(device, 0)) for kind, device in columns]
        line = [name, each["runs"], each["shared"], *counts, _count(each["kimg_to_do"]), *hours]
        line += [each["unknown"]["training"] or "-", _size(sum(each["disk_bytes"].values()))]
        lines.append(list(map(str, line)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    yield f"Plan at scale {config.scale}; a run that several artefacts need counts in the first, the others share it"
    for line in lines:
        first, *rest = [entry.rjust(width) for entry, width in zip(line, widths, strict=True)]
        yield "  ".join([first.strip().ljust(widths[0]), *rest]).rstrip()
    yield (
        f"{total['runs']} runs, {_count(total['kimg'])} kimg: {states.get(TRAINED, 0)} trained, {states.get(BEGUN, 0)} "
        f"begun, {states.get(TO_DO, 0)} to do; {1 - total['kimg_to_do'] / (total['kimg'] or 1):.0%} of the images shown"
    )
    yield from plan["data_sets"]
    yield from plan["sources"]
    disk = ", ".join(f"{kind} {_size(value)}" for kind, value in total["disk_bytes"].items())
    yield f"Disk when all is done: {disk or 'nothing'}; prepared images {_size(plan['prepared_bytes'])}"
    if total["measuring_bytes"]:
        yield f"Besides, each run that is being measured has features there: up to {_size(total['measuring_bytes'])}"
    yield from (f"prepared: {each['said']}" for each in plan["prepared"])
    refused = Counter(run["reason"] for run in plan["runs"] if run["state"] == REFUSED)
    yield from (f"refused, {count} runs: {reason}" for reason, count in refused.items())
    yield from plan["missing"]


def main(argv: list[str] | None = None) -> int:
    parser = command_parser(
        "plan",
        "Say what a configuration will run, how long that takes and what it leaves on the disk.",
        reads="config/, and what is there already below results/ and resources/.",
        writes="Nothing; a table, or with --json an object, is printed.",
    )
    add_config_option(parser)
    parser.add_argument("--json", action="store_true", help="every run and all totals as JSON")
    args = parser.parse_args(argv)
    config = load_config(args.config)
    print(json.dumps(summary(config), indent=1) if args.json else "\n".join(describe(config)))
    return 0
