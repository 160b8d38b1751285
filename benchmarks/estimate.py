"""How long a call of the workflow will take on this machine's CPU: `python -m benchmarks.estimate --cores 2`.

Trains for a second or two with each preset and method that the configured artefacts have left to train, in as many
processes as runs will go side by side, makes and measures some fakes, and prints one line. What surrounds training
and measuring (data, tables, page) is not in it. `make reproduce` calls it first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import mean

import torch

from benchmarks.iteration import Iterations
from metrics.extractors import Extractor, load_extractor
from metrics.fakes import Fakes
from suite import cost, registry
from suite.cells import Cell, cells
from suite.config import configured, read
from suite.errors import one_line
from suite.launch import KEEP_MEMORY
from suite.spec import RunSpec
from training.device import set_up

SECONDS = 1.0
"""Timed per kind of run, in whole cycles of iterations."""

FAKES = 128
"""Generated and measured per kind of run."""

Kind = tuple[str, str, int, str]
"""Preset, method, resolution and protocol: what the speed of a run depends on."""


def left(config: dict[str, object], results: Path) -> list[Cell]:
    """The cells of the configured artefacts that are measured and have no rows in results/<scale>/rows yet."""
    found: dict[str, Cell] = {}
    for members in cells(config).values():
        for cell in members:
            rows = results / "rows" / cell.spec.run_id / f"{cell.protocol}.jsonl"
            if cell.protocol and not cell.refused and not rows.exists():
                found[cell.spec.run_id] = cell
    return list(found.values())


def kind(cell: Cell) -> Kind:
    return cell.spec.preset, cell.spec.method, cell.spec.resolution, cell.protocol or ""


def per_image(repeat: Callable[[], int]) -> float:
    """Seconds per image of what `repeat` does, which says for how many images it did it."""
    images, start = 0, time.perf_counter()
    while not images or time.perf_counter() < start + SECONDS:
        images += repeat()
    return (time.perf_counter() - start) / images


def measure(fakes: Fakes, extractor: Extractor) -> int:
    """Make all fakes and compute their features, as a measurement does; returns their number."""
    blocks = len(fakes) // fakes.block
    for number in range(blocks):
        extractor(fakes.make(number))
    return blocks * fakes.block


def costs(kinds: list[Kind]) -> dict[Kind, tuple[float, float]]:
    """Seconds per real image of training and per fake of measuring, by kind, with one thread."""
    device = torch.device("cpu")
    set_up(device, 1, tf32=False)
    found = {}
    for preset, method, resolution, protocol in kinds:
        iterations = Iterations(preset, method, resolution, 3, 0, None, device)
        iterations.run()
        extractor = load_extractor(read("config/protocols.yaml")[protocol]["extractor"], device)
        fakes = Fakes(iterations.ema.module, FAKES, None, 0, device)

        found[preset, method, resolution, protocol] = (
            per_image(iterations.run),
            per_image(partial(measure, fakes, extractor)),
        )
    return found


def seconds(members: Iterable[Cell], known: dict[Kind, tuple[float, float]], scale: str) -> float:
    """Seconds of one core that training and measuring these cells take."""
    total = 0.0
    for cell in members:
        training, measuring = known[kind(cell)]
        spec: RunSpec = cell.spec
        fakes = cost.measurements(spec, cell.protocol or "") * cost.fakes_of(scale, cell.protocol or "")
        total += 1000 * spec.total_kimg * training + fakes * measuring
    return total


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimate", description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="{}", help="JSON or YAML with the keys of config/config.yaml to replace")
    parser.add_argument("--cores", default="all", help="as for snakemake: a number, or all")
    args = parser.parse_args(argv)
    config = configured(args.config)
    registry.search(config["method_folders"])
    members = left(config, Path("results") / config["scale"])
    if not members:
        return 0
    cores = len(os.sched_getaffinity(0)) if args.cores == "all" else int(args.cores)
    side_by_side = min(cores, len(members))
    os.environ.update(KEEP_MEMORY)
    kinds = list(dict.fromkeys(map(kind, members)))
    with multiprocessing.get_context("spawn").Pool(side_by_side) as pool:
        found = pool.map(costs, [kinds] * side_by_side)
    known = {each: (mean(one[each][0] for one in found), mean(one[each][1] for one in found)) for each in kinds}
    minutes = seconds(members, known, config["scale"]) / side_by_side / 60
    rates = ", ".join(f"{each[1]} {1 / known[each][0]:.0f}" for each in kinds)
    kimg = sum(cell.spec.total_kimg for cell in members)
    print(
        f"{len(members)} runs, {kimg:g} kimg in all, take about {minutes:.0f} minutes on {side_by_side} cores, "
        f"measured just now (images/s of one core: {rates}).",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    with one_line():
        sys.exit(main())
