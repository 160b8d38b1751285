"""Speed of training: `python -m benchmarks --preset tiny cifar --method none diffaugment ada --threads 2`.

Prints a Markdown table, one line for every preset and method: real images per second of the whole training
iteration, what its time goes to, the peak memory, the operations per image, and which share of the device's peak,
measured in the same run, they reach. Every line is measured in a process of its own, which keeps its memory as the
runs of the suite do. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

import torch
import yaml

from benchmarks.alone import alone
from benchmarks.iteration import SECTIONS, Measurement, measure_line
from suite.errors import ConfigError


def line(preset: str, method: str, m: Measurement) -> str:
    """A row of the table."""
    shares = [f"{m.shares[section]:.0%}" for section in SECTIONS]
    cost = [f"{m.memory_bytes / 2**20:.0f}", f"{m.operations / 1e9:.3g}", f"{m.peak / 1e9:.0f}"]
    share = f"{m.operations * m.images_per_s / m.peak:.0%}"
    return "| " + " | ".join([preset, method, m.dtype, f"{m.images_per_s:.4g}", *shares, *cost, share]) + " |"


def preset_key(text: str) -> tuple[str, Any]:
    """The key and the value of "KEY=VALUE", which is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, for example fmap_max=64")
    return key, yaml.safe_load(value)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["tiny"], help="rows of config/presets.yaml")
    parser.add_argument("--method", nargs="+", default=["none"], help="rows of config/methods.yaml, files of augment/")
    parser.add_argument(
        "--set", nargs="+", type=preset_key, default=[], metavar="KEY=VALUE", help="preset keys to replace"
    )
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--classes", type=int, default=0, help="0: unconditional")
    parser.add_argument("--batch", type=int, help="default: the preset's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--half", choices=["bfloat16", "float16", "float32"], help="also on a CPU; default: the preset's, on a GPU"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="timed per line, in whole cycles of iterations")
    args = parser.parse_args(argv)

    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} threads"
    batch = f"batch {args.batch}" if args.batch else "the preset's batch"
    print(f"torch {torch.__version__}, {args.device}, {where}, {args.resolution} px, {batch}\n")
    columns = ["preset", "method", "type", "images/s", *SECTIONS, "MiB", "GFLOP/image", "peak GFLOP/s", "of peak"]
    print("| " + " | ".join(columns) + " |")
    print("| --- | --- | --- |" + " ---: |" * (len(columns) - 3), flush=True)
    for preset, method in itertools.product(args.preset, args.method):
        print(line(preset, method, alone(measure_line, preset, method, args)), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ConfigError, ValueError) as error:
        sys.exit(f"error: {error}")
