"""The device's peak, measured: operations per second of convolutions at a network's own shapes, and of a matmul."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.stopwatch import synchronize

SHAPES = 4
MATMUL_SIDE = 8192


class Shape(NamedTuple):
    """Input [N, I, H, W], filters [O, I, 3, 3] and type of a 3 x 3 convolution with stride 1."""

    x: torch.Size
    weight: torch.Size
    dtype: torch.dtype

    @property
    def operations(self) -> int:
        """Two for each multiplication and addition; the output is as large as the input."""
        n, channels, height, width = self.x
        return 2 * n * height * width * channels * self.weight[0] * 9


class Operations(TorchDispatchMode):
    """Counts, within it, the operations of convolutions and matrix products, backward passes included.

    `total` sums them all, `convolutions` those of forward 3 x 3 convolutions with stride 1 by shape.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.convolutions: Counter[Shape] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        if func is torch.ops.aten.convolution.default:
            x, weight, _, stride, _, _, transposed, _, groups = args
            if weight.shape[2:] == (3, 3) and list(stride) == [1, 1] and not transposed and groups == 1:
                shape = Shape(x.shape, weight.shape, x.dtype)
                self.convolutions[shape] += shape.operations
        return out

    def add(self, other: Operations, times: int) -> None:
        """Add what `other` has counted, so many times."""
        self.total += times * other.total
        for shape, operations in other.convolutions.items():
            self.convolutions[shape] += times * operations


def fastest_call(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Seconds of the fastest of the calls that fit in `seconds`, after two of warming up."""
    call(), call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        synchronize(device)
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


@torch.no_grad()
def measured_peak(convolutions: Counter[Shape], device: torch.device, seconds: float) -> float:
    """Operations per second of the fastest of the SHAPES weightiest convolutions, each in both memory layouts.

    On a GPU a matrix product of side MATMUL_SIDE in the type of the weightiest competes too. Each measurement takes
    about `seconds`.
    """
    rates = []
    shapes = [shape for shape, _ in convolutions.most_common(SHAPES)]
    for shape in shapes:
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(shape.x, dtype=shape.dtype, device=device).contiguous(memory_format=layout)
            weight = torch.randn(shape.weight, dtype=shape.dtype, device=device).contiguous(memory_format=layout)
            call = lambda x=x, weight=weight: F.conv2d(x, weight, padding=1)  # noqa: E731
            rates.append(shape.operations / fastest_call(call, device, seconds))
    if device.type == "cuda":
        a = torch.randn(MATMUL_SIDE, MATMUL_SIDE, dtype=shapes[0].dtype, device=device)
        rates.append(2 * MATMUL_SIDE**3 / fastest_call(lambda: a @ a, device, seconds))
    return max(rates)
