"""Where the time of training goes, kernel by kernel: `python -m benchmarks.profile --preset cifar --method ada`.

One cycle of iterations under torch's profiler, after one that warms up and one that is timed. Prints what takes most of
that time, on a GPU its kernels: their sum says how busy the device is. `--trace` writes a file for Perfetto or
chrome://tracing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.iteration import Iterations
from benchmarks.setting import add_cuda_graphs, add_run, check_runs, described, parser_of, positive, prepared, recorder
from benchmarks.stopwatch import synchronize
from leangan.core.errors import exit_on_user_error

NAME_LENGTH = 100
"""Characters of a kernel's name that the table shows."""


class Timed(NamedTuple):
    """A kernel or, on a CPU, an operation without those that it calls: how often it ran, and for how long in all."""

    name: str
    calls: int
    seconds: float


def timed(events: Iterable[Any], on_gpu: bool) -> list[Timed]:
    """What took time among `events` (torch.profiler's averages by name), the longest first."""
    if on_gpu:
        kernels = (event for event in events if event.device_type == DeviceType.CUDA and not event.is_user_annotation)
        found = [Timed(event.key, event.count, event.self_device_time_total / 1e6) for event in kernels]
    else:
        found = [Timed(event.key, event.count, event.self_cpu_time_total / 1e6) for event in events]
    return sorted(found, key=lambda entry: -entry.seconds)


def table(entries: list[Timed], rows: int, wall: float) -> str:
    """The first `rows` entries and the sum of all, as Markdown.

    Shares are of `wall`, the seconds of a cycle without the profiler.
    """
    lines = ["| kernel | calls | ms | of the time |", "| --- | ---: | ---: | ---: |"]
    everything = Timed("all", sum(entry.calls for entry in entries), sum(entry.seconds for entry in entries))
    for name, calls, seconds in [*entries[:rows], everything]:
        name = name.replace("|", "/")[:NAME_LENGTH]
        lines.append(f"| {name} | {calls} | {1000 * seconds:.2f} | {seconds / wall:.1%} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks.profile", __doc__)
    add_run(parser)
    add_cuda_graphs(parser)
    parser.add_argument("--rows", type=positive, default=40, help="lines of the table")
    parser.add_argument("--trace", type=Path, help="a file to write the timeline to, *.json.gz")
    args = parser.parse_args(argv)
    check_runs([args.preset], [args.method], args.resolution)
    device = prepared(args)
    print(f"{described(device, args)}; {args.preset}, {args.method}, {args.resolution} px\n", flush=True)
    iterations = Iterations(args.preset, args.method, args.resolution, 3, 0, args.batch, device)
    iterations.run_as(recorder(args, device))
    iterations.warm_up()
    start = time.perf_counter()
    images = iterations.run()
    synchronize(device)
    wall = time.perf_counter() - start  # without the profiler, which slows the host

    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        iterations.run()
        synchronize(device)

    print(table(timed(profiler.key_averages(), on_gpu), args.rows, wall))
    print(f"\n{images} images in {wall:.3f} s")
    if args.trace:
        args.trace.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(args.trace))
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
