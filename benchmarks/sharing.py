"""What runs side by side on one device achieve: `python -m benchmarks.sharing --preset diffaugment-cifar --runs 1 2 4`.

Says which `runs_per_gpu` of config/config.yaml pays: each run is a process of its own, as in the workflow, and all
start their clocks together. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError

from benchmarks.iteration import Iterations
from benchmarks.setting import add_cuda_graphs, add_run, check_runs, described, parser_of, positive, prepared, recorder
from benchmarks.stopwatch import synchronize
from leangan.core.errors import ConfigError, exit_on_user_error
from leangan.launching.launch import KEEP_MEMORY
from leangan.training.log import append

START_SECONDS = 120
"""Longest time that the slowest of the runs may take to warm up."""


def train(args: argparse.Namespace, ready: Barrier, rates: multiprocessing.SimpleQueue) -> None:
    """Put the images/s of one run, which trains for `args.seconds` while the others do, into `rates`."""
    with exit_on_user_error(ValueError):
        rates.put(rate(args, ready))


def rate(args: argparse.Namespace, ready: Barrier) -> float:
    """The images/s of one run, which trains for `args.seconds` while the others do."""
    try:
        device = prepared(args)
        iterations = Iterations(args.preset, args.method, args.resolution, 3, 0, args.batch, device)
        iterations.run_as(recorder(args, device))
        iterations.warm_up()
    except BaseException:
        ready.abort()  # the others need not wait
        raise
    try:
        ready.wait(START_SECONDS)
    except BrokenBarrierError:
        raise ConfigError("another of the runs has failed") from None
    images, start = 0, time.perf_counter()
    while not images or time.perf_counter() < start + args.seconds:
        images += iterations.run()
        synchronize(device)
    return images / (time.perf_counter() - start)


def side_by_side(count: int, args: argparse.Namespace) -> list[float]:
    """Images/s of each of `count` runs at once. Raises RuntimeError where one of them fails."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(count), context.SimpleQueue()
    runs = [context.Process(target=train, args=(args, ready, rates)) for _ in range(count)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    if failed := [run.exitcode for run in runs if run.exitcode]:
        raise RuntimeError(f"{len(failed)} of {count} runs failed")
    return [rates.get() for _ in runs]


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks.sharing", __doc__)
    add_run(parser)
    add_cuda_graphs(parser)
    parser.add_argument("--runs", nargs="+", type=positive, default=[1, 2, 4], help="counts, the first for comparison")
    parser.add_argument("--seconds", type=float, default=5.0, help="timed per line, in whole cycles of iterations")
    parser.add_argument("--out", type=Path, help="append each line to this file as JSON, too")
    args = parser.parse_args(argv)
    check_runs([args.preset], [args.method], args.resolution)
    setting = described(prepared(args), args)
    os.environ.update(KEEP_MEMORY)  # glibc reads it when the runs start
    print(f"{setting}; {args.preset}, {args.method}, {args.resolution} px\n")
    print(f"| runs side by side | images/s of each | of all | over that of {args.runs[0]} |")
    print("| ---: | ---: | ---: | ---: |", flush=True)
    first = None
    for count in args.runs:
        rates = side_by_side(count, args)
        first = first or sum(rates)
        print(f"| {count} | {sum(rates) / count:.4g} | {sum(rates):.4g} | {sum(rates) / first:.2f} |", flush=True)
        if args.out:
            entry = {"preset": args.preset, "method": args.method, "setting": setting, "runs": count, "rates": rates}
            append(args.out, entry)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError, RuntimeError):
        sys.exit(main())
