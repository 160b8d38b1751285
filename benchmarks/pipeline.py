"""Speed of the augmentation pipeline in images per second, as a Markdown table.

    python -m benchmarks.pipeline --threads 2

All transforms of the category act on every image (p = 1), the most expensive case. On a CPU every line is measured in a
process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.fresh_process import in_fresh_process
from benchmarks.setting import described, parser_of, positive, prepared
from benchmarks.stopwatch import synchronize
from leangan.augment.pipeline import CATEGORIES, Pipeline
from leangan.core.errors import exit_on_user_error


def images_per_second(step: Callable[[], object], images: int, device: torch.device, seconds: float) -> float:
    """Images per second of the median step; runs for about `seconds`, after two steps of warming up."""

    def timed() -> float:
        start = time.perf_counter()
        step()
        synchronize(device)
        return time.perf_counter() - start

    timed(), timed()
    times: list[float] = []
    while sum(times) < seconds:
        times.append(timed())
    return images / statistics.median(times)


def measure(categories: str, resolution: int, batch: int, args: argparse.Namespace) -> tuple[float, float]:
    """Images per second of the pipeline's forward pass, and of forward and backward pass; `args` are the options."""
    device = prepared(args)
    torch.manual_seed(0)
    pipeline = Pipeline(categories).to(device)
    x = torch.rand(batch, 3, resolution, resolution, device=device) * 2 - 1
    forward = images_per_second(lambda: pipeline(x, 1.0), batch, device, args.seconds)
    x.requires_grad_()
    both = lambda: torch.autograd.grad(pipeline(x, 1.0).square().mean(), x)  # noqa: E731
    return forward, images_per_second(both, batch, device, args.seconds)


def main() -> None:
    parser = parser_of("benchmarks.pipeline", __doc__)
    parser.add_argument("--categories", nargs="+", default=["bgc", "bgcfnc"], choices=list(CATEGORIES))
    parser.add_argument("--resolutions", nargs="+", type=positive, default=[32, 256], help="pixels")
    parser.add_argument("--batch", type=positive, help="images per call; default 64 up to 32 px, else 8")
    parser.add_argument("--seconds", type=float, default=3.0, help="per cell of the table")
    args = parser.parse_args()

    device = prepared(args)
    print(f"{described(device, args)}; p = 1, images/s\n")
    print("| categories | resolution | batch | forward | forward + backward |")
    print("|---|---|---|---|---|")
    for categories, resolution in itertools.product(args.categories, args.resolutions):
        batch = args.batch or (64 if resolution <= 32 else 8)
        options = categories, resolution, batch, args
        forward, both = measure(*options) if device.type == "cuda" else in_fresh_process(measure, *options)
        print(f"| {categories} | {resolution} | {batch} | {forward:.0f} | {both:.0f} |", flush=True)


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        main()
