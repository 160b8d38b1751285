"""What a configuration will run, before anything starts: `snakemake plan`, or `python -m suite.plan`.

Hours are estimated from the throughput that stored rows measured for the same preset and resolution, else from the
published cost of a StyleGAN2 (stylegan2-ada-pytorch's README, V100; see config/costs.yaml).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from data.table import held_out, place
from suite import registry, rows
from suite.config import ROOT, artefact, checked, read
from suite.errors import ConfigError
from suite.spec import RunSpec, expand, refusal


@dataclass(frozen=True)
class Cell:
    """One run that an artefact needs, measured under `protocol`; `refused` is (status, reason) or None.

    A run that others start from and no table shows has no protocol: it is trained and not measured.
    """

    spec: RunSpec
    protocol: str | None
    refused: tuple[str, str] | None


def cells(config: dict[str, Any]) -> dict[str, list[Cell]]:
    """The cells of every artefact in `config`, by its name; a run that several need has the same id in each."""
    refusals: dict[str, tuple[str, str] | None] = {}

    def refused(spec: RunSpec) -> tuple[str, str] | None:
        if spec.run_id not in refusals:
            refusals[spec.run_id] = refusal(spec)
            if spec.source and (source := refused(spec.source)) and not refusals[spec.run_id]:
                refusals[spec.run_id] = source[0], f"{spec.source.run_id}, which it starts from: {source[1]}"
        return refusals[spec.run_id]

    result = {}
    for name in config["artefacts"]:
        specs = {spec.run_id: spec for spec in expand(name, config)}
        sources: dict[str, RunSpec] = {}
        for spec in specs.values():
            while (spec := spec.source) and spec.run_id not in specs:
                sources[spec.run_id] = spec
        members = [(spec, None) for spec in sources.values()]
        members += [(spec, artefact(name)["protocol"]) for spec in specs.values()]
        result[name] = [Cell(spec, protocol, refused(spec)) for spec, protocol in members]
    return result


def measured_rates(results: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Median images/s by (preset, resolution) and device, from all rows stored below `results`."""
    seen: dict[tuple[str, int], dict[str, list[float]]] = {}
    for path in sorted(results.glob("*/rows/*/*/*.jsonl")):
        if path.name == "train.jsonl":
            continue
        for row in rows.read(path)[:1]:
            rate, device = row["provenance"]["images_per_s"], row["provenance"]["device"]
            if rate and device:
                seen.setdefault((row["preset"], row["resolution"]), {}).setdefault(device, []).append(rate)
    return {key: {device: median(rates) for device, rates in devices.items()} for key, devices in seen.items()}


def hours(spec: RunSpec, rates: dict[tuple[str, int], dict[str, float]]) -> dict[str, float]:
    """Estimated training hours by device."""
    known = rates.get((spec.preset, spec.resolution)) or {
        device: 1000 / seconds_per_kimg[spec.resolution]
        for device, seconds_per_kimg in read("config/costs.yaml").get(spec.backbone, {}).items()
        if spec.resolution in seconds_per_kimg
    }
    return {device: spec.total_kimg * 1000 / rate / 3600 for device, rate in known.items()}


def _duration(value: float) -> str:
    return f"{value:.1f} h" if value >= 1 else f"{value * 60:.0f} min"


def missing_data(members: list[Cell], config: dict[str, Any]) -> Iterator[str]:
    """A line for each data set that the runs of `members` read and that is neither prepared nor in its place."""
    protocols = read("config/protocols.yaml")
    needed = {}
    for cell in members:
        if not cell.refused:
            needed[cell.spec.dataset, cell.spec.resolution, "full"] = None
            if cell.protocol and protocols[cell.protocol]["reference"] == "test":
                needed[cell.spec.dataset, cell.spec.resolution, "test"] = None
    for dataset, resolution, split in needed:
        try:
            name = held_out(dataset) if split == "test" else dataset
            if not (ROOT / f"resources/data/{name}-{resolution}.npy").exists():
                place(name, config["datasets"].get(name, {}).get("path"))
        except ConfigError as error:
            yield f"missing: {error}"


def describe(config: dict[str, Any]) -> Iterator[str]:
    """The lines of the plan: each run once, with images, kimg, estimated hours per device and whether it is done.

    The last ones say which data sets are to be fetched by hand.
    """
    results = ROOT / "results"
    rates = measured_rates(results)
    listed: set[str] = set()
    totals: dict[str, float] = {}
    members_of = cells(config)
    for name, members in members_of.items():
        yield f"{name}: {artefact(name)['title']} (protocol {artefact(name)['protocol']}, scale {config['scale']})"
        for cell in members:
            spec = cell.spec
            if spec.run_id in listed:
                yield f"  {spec.run_id}  shared with an artefact above"
                continue
            listed.add(spec.run_id)
            if cell.refused:
                yield f"  {spec.run_id}  {cell.refused[0]}: {cell.refused[1]}"
                continue
            done = (results / config["scale"] / "runs" / spec.run_id / "train.json").exists()
            estimate = hours(spec, rates)
            for device, value in estimate.items():
                totals[device] = totals.get(device, 0.0) + (0.0 if done else value)
            cost = ", ".join(f"{_duration(value)} on {device}" for device, value in estimate.items()) or "cost unknown"
            yield f"  {spec.run_id}  {spec.images} images, {spec.total_kimg:g} kimg, {'trained' if done else cost}"
    left = ", ".join(f"{_duration(value)} on one {device}" for device, value in totals.items())
    yield f"{len(listed)} runs; training still to do: {left or 'unknown'}"
    yield from missing_data([cell for members in members_of.values() for cell in members], config)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="{}", help="JSON or YAML with the keys of config/config.yaml to replace")
    args = parser.parse_args(argv)
    config = checked({**read("config/config.yaml"), **yaml.safe_load(args.config)})
    registry.search(config["method_folders"])
    for line in describe(config):
        print(line)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        sys.exit(f"error: {error}")
