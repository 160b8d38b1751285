"""The low-pass of `low_pass.py` as a Triton kernel over channels_last maps: `correlate`, `scatter`, forms of one sum.

Per axis y[i] = sum over k of f[k] x[(i DOWN + k - PAD) / UP], f = [1, 3, 3, 1] / 8, over those k that leave no rest.
A program makes a tile of pixels and channels. It reads up to 16 taps per pixel, each a run of adjacent channels;
neighbouring pixels find them in the cache. Sums are float32, of float64 maps float64.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 2048
"""Elements of a program: 16 for each of its 128 threads."""

MOST_CHANNELS = 128


@triton.jit
def _resample(
    x,
    y,
    height,
    width,
    out_height,
    out_width,
    channels,
    UP: tl.constexpr,
    DOWN: tl.constexpr,
    PAD: tl.constexpr,
    GAIN: tl.constexpr,
    SUM: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, CHANNELS)
    across = tl.cdiv(out_width, COLUMNS)
    down = tl.cdiv(out_height, ROWS)
    channel = (program % blocks) * CHANNELS + tl.arange(0, CHANNELS)
    tile = program // blocks
    pixel = tl.arange(0, ROWS * COLUMNS)
    i = (tile // across) % down * ROWS + pixel // COLUMNS
    j = tile % across * COLUMNS + pixel % COLUMNS
    n = (tile // (across * down)).to(tl.int64)  # offsets of a batch may need 64 bits
    x += n * height * width * channels
    y += n * out_height * out_width * channels

    top = i * DOWN - PAD
    left = j * DOWN - PAD
    # With UP = 2, an odd position is between two pixels: its taps are 1 and 3, those of an even one 0 and 2.
    first_row = top & (UP - 1)
    first_column = left & (UP - 1)
    total = tl.zeros((ROWS * COLUMNS, CHANNELS), dtype=SUM)
    for a in tl.static_range(4 // UP):
        k = first_row + a * UP
        row = (top + k) // UP  # without a rest
        row_weight = tl.where((k == 0) | (k == 3), 0.125, 0.375)
        for b in tl.static_range(4 // UP):
            m = first_column + b * UP
            column = (left + m) // UP
            weight = row_weight * tl.where((m == 0) | (m == 3), 0.125, 0.375)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = x + (row * width + column)[:, None] * channels + channel[None, :]
            taps = tl.load(at, mask=inside[:, None] & (channel < channels)[None, :], other=0.0)
            total += weight[:, None] * taps.to(SUM)
    inside = (i < out_height) & (j < out_width)
    at = y + (i * out_width + j)[:, None] * channels + channel[None, :]
    tl.store(at, (total * GAIN).to(y.dtype.element_ty), mask=inside[:, None] & (channel < channels)[None, :])


def tile_of(channels: int) -> tuple[int, int]:
    """Rows and columns of a tile with `channels` channels, a power of two: as near to a square as powers of two are."""
    pixels = TILE // channels
    rows = 1 << (pixels.bit_length() - 1) // 2
    return rows, pixels // rows


def _run(x: Tensor, out_height: int, out_width: int, up: int, down: int, pad: int, gain: float) -> Tensor:
    """The sum above over x [N, C, H, W] -> [N, C, out_height, out_width], both axes alike, channels_last."""
    n, channels, height, width = x.shape
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_strided(
        (n, channels, out_height, out_width),
        (out_height * out_width * channels, 1, out_width * channels, channels),
        dtype=x.dtype,
        device=x.device,
    )
    block = min(MOST_CHANNELS, triton.next_power_of_2(channels))
    rows, columns = tile_of(block)
    tiles = triton.cdiv(out_height, rows) * triton.cdiv(out_width, columns)
    if y.numel():
        _resample[(triton.cdiv(channels, block) * tiles * n,)](
            x,
            y,
            height,
            width,
            out_height,
            out_width,
            channels,
            UP=up,
            DOWN=down,
            PAD=pad,
            GAIN=gain,
            SUM=tl.float64 if x.dtype == torch.float64 else tl.float32,
            ROWS=rows,
            COLUMNS=columns,
            CHANNELS=block,
        )
    return y


def correlate(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    """The kernel of `low_pass.correlate`."""
    height, width = ((side + 2 * padding - 4) // stride + 1 for side in x.shape[2:])
    return _run(x, height, width, 1, stride, padding, gain)


def scatter(x: Tensor, gain: float) -> Tensor:
    """The kernel of `low_pass.scatter`."""
    return _run(x, 2 * x.shape[2], 2 * x.shape[3], 2, 1, 2, gain)
