"""Where the time of training goes, kernel by kernel: `python -m benchmarks.profile --preset cifar --method ada`.

One cycle of iterations under torch's profiler, after one that warms up. Prints the operations that take most time, on a
GPU its kernels, and how busy the device was. `--trace` writes a file for Perfetto or chrome://tracing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks.iteration import Iterations
from benchmarks.setting import add_options, described, prepared
from benchmarks.stopwatch import synchronize
from suite.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny", help="a row of config/presets.yaml")
    parser.add_argument("--method", default="none", help="a row of config/methods.yaml or a file of augment/")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, help="default: the preset's")
    parser.add_argument("--rows", type=int, default=40, help="lines of the table")
    parser.add_argument("--trace", type=Path, help="a file to write the timeline to, *.json.gz")
    add_options(parser)
    args = parser.parse_args(argv)
    device = prepared(args)
    print(f"{described(device, args)}; {args.preset}, {args.method}, {args.resolution} px\n", flush=True)
    iterations = Iterations(args.preset, args.method, args.resolution, 3, 0, args.batch, device)
    iterations.run()
    synchronize(device)

    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        start = time.perf_counter()
        images = iterations.run()
        synchronize(device)
        wall = time.perf_counter() - start

    events = profiler.key_averages()
    time_of = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    print(events.table(sort_by=time_of, row_limit=args.rows, max_name_column_width=80))
    busy = sum(getattr(event, time_of) for event in events) / 1e6
    print(f"{images} images in {wall:.3f} s; {'kernels' if on_gpu else 'operations'} {busy:.3f} s, {busy / wall:.0%}")
    if args.trace:
        args.trace.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(args.trace))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ConfigError, ValueError) as error:
        sys.exit(f"error: {error}")
