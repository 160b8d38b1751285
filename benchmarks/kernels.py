"""What fused kernels save: `python -m benchmarks.kernels --device cuda`, two Markdown tables in milliseconds.

The low-pass of StyleGAN2 in five ways, at sizes of the presets `cifar` and `paper256`: the depthwise convolution in
both memory layouts, two products with banded matrices, means over 2 x 2 pixels as a GPU trains with, and Triton's
kernel. Then the epilogue of a convolution, plain and fused, forward and backward. All maps but
those of the second way are channels_last. Times are the GPU's own, as within a CUDA graph. A CPU gets small maps and
leaves Triton out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.peak import fastest_call
from benchmarks.setting import described, parser_of, prepared
from leangan.core import kernels
from leangan.core.errors import exit_on_user_error
from leangan.models.stylegan2 import low_pass, ops
from leangan.models.stylegan2.epilogue import epilogue

Shape = tuple[int, int, int, int]

UP = None
"""In the place of a padding: zeros between the pixels instead of a border."""

FILTERS: list[tuple[Shape, torch.dtype, int | None]] = [
    ((64, 512, 33, 33), torch.bfloat16, 1),
    ((64, 512, 16, 16), torch.bfloat16, 2),
    ((64, 64, 257, 257), torch.bfloat16, 1),
    ((64, 3, 128, 128), torch.float32, UP),
]
"""Maps, their type and the padding of their low-pass."""

EPILOGUES: list[tuple[Shape, bool]] = [
    ((64, 512, 32, 32), True),
    ((64, 512, 32, 32), False),
    ((64, 64, 256, 256), True),
    ((64, 64, 256, 256), False),
]
"""Maps in bfloat16, and whether they are those of G, with demodulation and noise, or of D."""

CALLS = 10

PAUSE_CYCLES = 20_000_000
"""About 10 ms of a GPU, in which the host issues CALLS."""

Call = Callable[[], object]


def depthwise(x: Tensor, padding: int | None) -> Tensor:
    """The low-pass as a depthwise convolution."""
    return low_pass.depthwise_scatter(x, 4.0) if padding is UP else low_pass.depthwise_correlate(x, 1.0, 1, padding)


def means(x: Tensor, padding: int | None) -> Tensor:
    """The low-pass as means over 2 x 2 pixels."""
    return low_pass.mean_scatter(x, 4.0) if padding is UP else low_pass.mean_correlate(x, 1.0, 1, padding)


def fused(x: Tensor, padding: int | None) -> Tensor:
    """The low-pass by the kernel, where kernels are in use."""
    return low_pass.scatter(x, 4.0) if padding is UP else low_pass.correlate(x, 1.0, 1, padding)


def band(size: int, padding: int | None) -> Tensor:
    """The low-pass along one axis as a matrix [length of the result, size] in float64."""
    step, border, gain = (2, 2, 2.0) if padding is UP else (1, padding, 1.0)
    matrix = torch.zeros(2 * size if padding is UP else size + 2 * padding - 3, size, dtype=torch.float64)
    for i in range(len(matrix)):
        for k, tap in enumerate(low_pass.FIR):
            place, rest = divmod(i + k - border, step)
            if not rest and 0 <= place < size:
                matrix[i, place] = gain * tap
    return matrix


def products(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The low-pass as one product with a matrix along each axis of x, which is channels_last."""
    n, channels, height, width = x.shape
    y = rows @ x.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    y = columns @ y.view(n * len(rows), width, channels)
    return y.view(n, len(rows), len(columns), channels).permute(0, 3, 1, 2)


def ways(x: Tensor, padding: int | None) -> dict[str, Callable[[], Tensor]]:
    """Calls that filter x in plain torch."""
    rows, columns = (band(side, padding).to(x) for side in x.shape[2:])
    contiguous = x.contiguous()
    return {
        "depthwise": partial(depthwise, x, padding),
        "depthwise, NCHW": partial(depthwise, contiguous, padding),
        "two products": partial(products, x, rows, columns),
        "means": partial(means, x, padding),
    }


def passes(shape: Shape, styled: bool, device: torch.device) -> tuple[Call, Call]:
    """Forward and backward pass of an epilogue, with or without kernels as they are in use at each call."""
    n, channels, height, width = shape
    half = partial(torch.randn, dtype=torch.bfloat16, device=device)
    x, by_y = (half(shape).contiguous(memory_format=torch.channels_last) for _ in range(2))
    bias = torch.zeros(channels, device=device, requires_grad=True)
    learned = [x.requires_grad_(), bias]
    call = partial(epilogue, bias=bias, gain=ops.LRELU_GAIN, limit=256.0)
    if styled:
        scales = torch.ones(n, channels, device=device, requires_grad=True)
        strength = torch.ones((), device=device, requires_grad=True)
        learned += [scales, strength]
        call = partial(call, scales=scales, noise=half(n, 1, height, width), strength=strength)
    y = call(x.clone())  # plain torch overwrites it; the derivative of a copy costs nothing
    return partial(torch.no_grad()(call), x), partial(torch.autograd.grad, y, learned, by_y, retain_graph=True)


def queued_call(call: Call, seconds: float) -> float:
    """Seconds of a call on the GPU alone, without the host's: of the fastest CALLS in a row that fit in `seconds`."""
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    call(), call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        torch.cuda._sleep(PAUSE_CYCLES)  # the host has issued all calls before the first begins
        start.record()
        for _ in range(CALLS):
            call()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1000 / CALLS)
    return min(times)


def milliseconds(call: Call, device: torch.device, seconds: float) -> str:
    """The fastest call, as a cell of the table."""
    fastest = queued_call(call, seconds) if device.type == "cuda" else fastest_call(call, device, seconds)
    return f"{1000 * fastest:.3g}"


def by_kernel(make: Callable[[], list[Call]], device: torch.device, seconds: float) -> list[str]:
    """The cells of the calls that `make` makes, with the kernels in use; a CPU leaves them out."""
    if device.type != "cuda":
        return ["-"] * len(make())
    kernels.use_fused(True)
    try:
        cells = [milliseconds(call, device, seconds) for call in make()]
        return cells if kernels.fused() else ["failed"] * len(cells)
    finally:
        kernels.use_fused(False)


def filter_row(shape: Shape, dtype: torch.dtype, padding: int | None, device: torch.device, seconds: float) -> str:
    """A row of the first table."""
    x = torch.randn(shape, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    calls = ways(x, padding)
    with torch.no_grad():
        cells = [milliseconds(call, device, seconds) for call in calls.values()]
        cells += by_kernel(lambda: [partial(fused, x, padding)], device, seconds)
    form = "up" if padding is UP else f"padding {padding}"
    return "| " + " | ".join([f"{list(shape)}, {str(dtype).removeprefix('torch.')}", form, *cells]) + " |"


def epilogue_row(shape: Shape, styled: bool, device: torch.device, seconds: float) -> str:
    """A row of the second table."""
    cells = [milliseconds(call, device, seconds) for call in passes(shape, styled, device)]
    cells += by_kernel(lambda: list(passes(shape, styled, device)), device, seconds)
    return "| " + " | ".join([str(list(shape)), "G" if styled else "D", *cells]) + " |"


def smaller(shape: Shape) -> Shape:
    """A shape for a CPU, odd where `shape` is."""
    n, channels, height, width = shape
    return min(n, 2), min(channels, 8), 8 + height % 2, 8 + width % 2


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks.kernels", __doc__)
    parser.add_argument("--seconds", type=float, default=0.3, help="per cell of the tables")
    args = parser.parse_args(argv)
    device = prepared(args)
    sized = (lambda shape: shape) if device.type == "cuda" else smaller
    print(f"{described(device, args)}; ms\n")
    print("| low-pass of | form | depthwise | depthwise, NCHW | two products | means | Triton |")
    print("| --- | --- |" + " ---: |" * 5, flush=True)
    for shape, dtype, padding in FILTERS:
        print(filter_row(sized(shape), dtype, padding, device, args.seconds), flush=True)
    print("\n| epilogue of bfloat16 | network | plain, forward | backward | fused, forward | backward |")
    print("| --- | --- |" + " ---: |" * 4, flush=True)
    for shape, styled in EPILOGUES:
        print(epilogue_row(sized(shape), styled, device, args.seconds), flush=True)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
