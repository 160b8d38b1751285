"""Speed of the augmentation pipeline in images per second, as a Markdown table.

    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 python -m benchmarks.pipeline --threads 2

The two variables keep glibc from handing large buffers back to the kernel after each call. All transforms
of the category act on every image (p = 1), the most expensive case.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from augment.pipeline import CATEGORIES, Pipeline


def images_per_second(step: Callable[[], object], images: int, device: str, seconds: float) -> float:
    """Images per second of the median step; runs for about `seconds`, after two steps of warming up."""

    def timed() -> float:
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed(), timed()
    times = []
    while sum(times) < seconds:
        times.append(timed())
    return images / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--categories", nargs="+", default=["bgc", "bgcfnc"], choices=list(CATEGORIES))
    parser.add_argument("--resolutions", nargs="+", type=int, default=[32, 256])
    parser.add_argument("--batch", type=int, help="images per call; default 64 up to 32 px, else 8")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="per cell of the table")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads, p = 1, images/s\n")
    print("| categories | resolution | batch | forward | forward + backward |")
    print("|---|---|---|---|---|")
    for categories in args.categories:
        pipeline = Pipeline(categories)
        for resolution in args.resolutions:
            batch = args.batch or (64 if resolution <= 32 else 8)
            x = torch.rand(batch, 3, resolution, resolution, device=args.device) * 2 - 1
            x_grad = x.clone().requires_grad_()
            cells = [
                images_per_second(step, batch, args.device, args.seconds)
                for step in (
                    lambda p=pipeline, x=x: p(x, 1.0),
                    lambda p=pipeline, x=x_grad: torch.autograd.grad(p(x, 1.0).square().mean(), x),
                )
            ]
            print(f"| {categories} | {resolution} | {batch} | {cells[0]:.0f} | {cells[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
