"""How long the runs that are left take on this machine's CPU: `python -m benchmarks.estimate --cores 2`.

Trains and measures each kind of run for a second, in as many processes as runs will go side by side, and prints one
line. Of a run that has begun, what is left counts. Preparing data, tables and page are not in it. `make reproduce`
calls it first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from statistics import mean
from typing import NamedTuple

import torch

from benchmarks.iteration import Iterations
from leangan.core import visible_gpus
from leangan.core.errors import ConfigError, exit_on_user_error
from leangan.launching.launch import KEEP_MEMORY
from leangan.metrics.fakes import Fakes
from leangan.metrics.loading import load_extractor
from leangan.metrics.protocols import read_protocol
from leangan.planning import cost
from leangan.planning.plan import plan_runs
from leangan.runs.cells import cells
from leangan.runs.config import add_config_option, load_config
from leangan.runs.sections import Config
from leangan.training.device import set_up

SECONDS = 1.0
"""Timed per task, at least, in whole repetitions."""

LIMIT_SECONDS = 60.0
"""After this time there is no estimate: networks of published width take minutes for one cycle of iterations."""

INSTALLED = ("efficientnet_lite0", "shape_attributes")
"""Extractors that come with the installation. Weights of others may have to be downloaded, which no estimate does."""

CPU = torch.device("cpu")


class Training(NamedTuple):
    """Training steps on real images."""

    preset: str
    method: str
    resolution: int

    def repeat(self) -> Callable[[], int]:
        return Iterations(*self, channels=3, classes=0, batch=None, device=CPU).run


class Measuring(NamedTuple):
    """Making fakes and computing their features, which takes equally long whatever the method was."""

    preset: str
    resolution: int
    extractor: str

    def repeat(self) -> Callable[[], int]:
        G = Iterations(self.preset, "none", self.resolution, 3, classes=0, batch=None, device=CPU).ema.module
        fakes, extractor = Fakes(G, 1000, None, 0, CPU), load_extractor(self.extractor, CPU)
        return lambda: len(extractor(fakes.make(0)))


Task = Training | Measuring
"""What a run consists of; its cost is seconds per image. `repeat` gives a function that does it for some images and
returns their number."""


def left(config: Config) -> list[dict[Task, float]]:
    """What is left to do of each run of the configured artefacts: images by task."""
    members = cells(config)
    specs = {cell.spec.run_id: cell.spec for each in members.values() for cell in each}
    runs = []
    for run in plan_runs(config, members, {}).values():
        spec = specs[run.run]
        work: dict[Task, float] = {}
        if not run.reason and run.shown_kimg < run.kimg:
            work[Training(spec.preset, spec.method, spec.resolution)] = 1000 * (run.kimg - run.shown_kimg)
        for protocol in run.to_measure:
            task = Measuring(spec.preset, spec.resolution, read_protocol(protocol).extractor)
            fakes = cost.measurements(spec, protocol) * cost.fakes_of(config.scale, protocol)
            work[task] = work.get(task, 0) + fakes
        if work:
            runs.append(work)
    return runs


def seconds_per_image(repeat: Callable[[], int]) -> float:
    repeat()
    images, start = 0, time.perf_counter()
    while not images or time.perf_counter() < start + SECONDS:
        images += repeat()
    return (time.perf_counter() - start) / images


def timed(threads: int, tasks: list[Task]) -> list[float]:
    """Seconds per image of each task in this process, with so many threads."""
    set_up(CPU, threads, tf32=False)
    return [seconds_per_image(task.repeat()) for task in tasks]


def seconds(runs: Iterable[dict[Task, float]], known: dict[Task, float], places: int) -> float:
    """Time for all runs, `places` of them side by side, the longest first; tasks that are not `known` take none."""
    ends = [0.0] * places
    for length in sorted((sum(n * known.get(task, 0.0) for task, n in run.items()) for run in runs), reverse=True):
        ends[ends.index(min(ends))] += length
    return max(ends)


def counted(cores: str) -> int:
    """The value of --cores as a number. Raises ConfigError where it is none."""
    if cores == "all":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not cores.isdecimal() or int(cores) < 1:
        raise ConfigError(f"--cores is {cores!r}, must be a number of cores or all; with make: make reproduce CORES=2")
    return int(cores)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimate", description=__doc__.splitlines()[0])
    add_config_option(parser)
    parser.add_argument("--cores", default="all", help="as for snakemake: a number, or all")
    args = parser.parse_args(argv)
    cores, config = counted(args.cores), load_config(args.config)
    if visible_gpus.uses_gpus(config.device):
        print("No estimate: the runs go to a GPU, which docs/gpu.md measures.", flush=True)
        return 0
    runs = left(config)
    if not runs:
        return 0

    threads = min(config.threads, cores)
    places = min(cores // threads, len(runs))
    every: list[Task] = list(dict.fromkeys(task for run in runs for task in run))
    untimed = {task.extractor for task in every if isinstance(task, Measuring)} - set(INSTALLED)
    tasks = [task for task in every if isinstance(task, Training) or task.extractor in INSTALLED]
    os.environ.update(KEEP_MEMORY)  # glibc reads it when the processes start
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(places)  # else the first process to start could take the trials of two
    with context.Pool(places, initializer=started.wait) as pool:
        try:
            found = pool.map_async(partial(timed, threads), [tasks] * places, chunksize=1).get(LIMIT_SECONDS)
        except multiprocessing.TimeoutError:
            print(f"No estimate: {len(tasks)} trials take more than {LIMIT_SECONDS:.0f} seconds.", flush=True)
            return 0
    known = dict(zip(tasks, map(mean, zip(*found, strict=True)), strict=True))
    total = seconds(runs, known, places)
    duration = f"{total:.0f} seconds" if total < 120 else f"{total / 60:.0f} minutes"
    kimg = sum(n for run in runs for task, n in run.items() if isinstance(task, Training)) / 1000
    rates = ", ".join(f"{task.method} {1 / known[task]:.0f}" for task in tasks if isinstance(task, Training))
    line = f"{len(runs)} runs, {kimg:g} kimg to train, take about {duration} on {places * threads} cores"
    line += f", not counting measurements by {', '.join(sorted(untimed))}" if untimed else ""
    line += f" (images/s of a run just now: {rates})" if rates else ""
    print(f"{line}.", flush=True)
    return 0


if __name__ == "__main__":
    with exit_on_user_error():
        sys.exit(main())
