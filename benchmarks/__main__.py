"""Speed of training: `python -m benchmarks --preset tiny cifar --method none diffaugment ada --threads 2`.

Prints a Markdown table, one line for every preset and method: real images per second of the whole training
iteration, what its time goes to, the peak memory, the operations per image, and which share of the device's peak,
measured in the same run, they reach. On a CPU every line is measured in a process of its own, which keeps its memory as
the runs of the suite do. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import itertools
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.fresh_process import in_fresh_process
from benchmarks.iteration import SECTIONS, Measurement, measure_line
from benchmarks.setting import add_cuda_graphs, check_runs, described, parser_of, positive, prepared
from leangan.core.errors import exit_on_user_error
from leangan.training.log import append


def line(preset: str, method: str, m: Measurement, tf32: bool) -> str:
    """A row of the table."""
    shares = [f"{m.shares[section]:.0%}" for section in SECTIONS]
    cost = [f"{m.memory_bytes / 2**20:.0f}", f"{m.operations / 1e9:.3g}", f"{m.peak / 1e9:.0f}"]
    share = f"{m.operations * m.images_per_s / m.peak:.0%}"
    kind = f"{m.dtype}, TF32" if tf32 else m.dtype
    return "| " + " | ".join([preset, method, kind, f"{m.images_per_s:.4g}", *shares, *cost, share]) + " |"


def preset_key(text: str) -> tuple[str, Any]:
    """The key and the value of "KEY=VALUE", which is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, for example fmap_max=64")
    return key, yaml.safe_load(value)


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks", __doc__)
    parser.add_argument("--preset", nargs="+", default=["tiny"], help="rows of config/presets.yaml")
    parser.add_argument("--method", nargs="+", default=["none"], help="rows of config/methods.yaml, files of augment/")
    parser.add_argument(
        "--set", nargs="+", type=preset_key, default=[], metavar="KEY=VALUE", help="preset keys to replace"
    )
    parser.add_argument("--resolution", type=positive, default=32, help="pixels")
    parser.add_argument("--channels", type=positive, default=3, help="of the images")
    parser.add_argument("--classes", type=int, default=0, help="0: unconditional")
    parser.add_argument("--batch", type=positive, help="default: the preset's")
    parser.add_argument(
        "--half", choices=["bfloat16", "float16", "float32"], help="also on a CPU; default: the preset's, on a GPU"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="timed per line")
    add_cuda_graphs(parser)
    parser.add_argument("--out", type=Path, help="append each line to this file as JSON, too")
    args = parser.parse_args(argv)

    check_runs(args.preset, args.method, args.resolution)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.touch()
    device = prepared(args)
    setting = described(device, args)
    batch = f"batch {args.batch}" if args.batch else "the preset's batch"
    print(f"{setting}; {args.resolution} px, {batch}\n")
    columns = ["preset", "method", "type", "images/s", *SECTIONS, "MiB", "GFLOP/image", "peak GFLOP/s", "of peak"]
    print("| " + " | ".join(columns) + " |")
    print("| --- | --- | --- |" + " ---: |" * (len(columns) - 3), flush=True)
    failed = False
    for preset, method in itertools.product(args.preset, args.method):
        try:
            # On a GPU all lines share one process: each start would take half a minute.
            measured = (
                measure_line(preset, method, args)
                if device.type == "cuda"
                else in_fresh_process(measure_line, preset, method, args)
            )
        except RuntimeError as error:  # too little memory, or an operation that the device does not have
            failed = True
            print(f"| {preset} | {method} | failed: {str(error).splitlines()[0]} |", flush=True)
            continue
        finally:
            if device.type == "cuda":
                gc.collect()  # the stopwatch and what it times refer to each other
                torch.cuda.empty_cache()
        print(line(preset, method, measured, args.tf32 and device.type == "cuda"), flush=True)
        if args.out:
            entry = {"preset": preset, "method": method, "setting": setting, **dataclasses.asdict(measured)}
            append(args.out, entry)
    return int(failed)


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
