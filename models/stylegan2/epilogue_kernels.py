"""`push` and `pull` of `one_pass` as Triton kernels over channels_last maps.

A program makes a tile of pixels and channels of one sample. Arithmetic is float32, of float64 maps float64. The sums of
`pull` are sums of each program's own, which torch adds up: no order of programs shows in the result.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from leangan.models.stylegan2.one_pass import Form

MOST_CHANNELS = 64
"""Of a program: 128 bytes of 16-bit maps, a whole line of the cache."""

PUSHED, PULLED = 2048, 4096
"""Elements of a program. More of them leave fewer sums to add up."""


@triton.jit
def _through(h, y, SLOPE: tl.constexpr, LIMIT: tl.constexpr):
    """h times the derivative of leaky ReLU and limit where they gave y."""
    h = tl.where(y > 0, h, h * SLOPE)
    if LIMIT is not None:
        h = tl.where(tl.abs(y) >= LIMIT, 0.0, h)
    return h


@triton.jit
def _finite(h):
    """Gradients that left the range of float16, cut to it."""
    h = tl.where(h == h, h, 0.0)
    return tl.minimum(tl.maximum(h, -65504.0), 65504.0)


@triton.jit
def _place(pixels, channels, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """The sample, tile, block, pixels and channels of this program."""
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, CHANNELS)
    tiles = tl.cdiv(pixels, PIXELS)
    block = program % blocks
    tile = program // blocks % tiles
    n = (program // (blocks * tiles)).to(tl.int64)  # offsets of a batch may need 64 bits
    return n, tile, block, tile * PIXELS + tl.arange(0, PIXELS), block * CHANNELS + tl.arange(0, CHANNELS)


@triton.jit
def _push(
    out,
    x,
    scales,
    more,
    more_scales,
    noise,
    strength,
    bias,
    y,
    pixels,
    channels,
    noise_step,
    GAIN: tl.constexpr,
    SLOPE: tl.constexpr,
    LIMIT: tl.constexpr,
    SUM: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    n, _, _, pixel, channel = _place(pixels, channels, PIXELS, CHANNELS)
    present = channel < channels
    inside = (pixel < pixels)[:, None] & present[None, :]
    at = n * pixels * channels + pixel[:, None] * channels + channel[None, :]
    u = tl.load(x + at, mask=inside, other=0.0).to(SUM)
    if scales is not None:
        u *= tl.load(scales + n * channels + channel, mask=present, other=0.0).to(SUM)[None, :]
    if more is not None:
        factor = tl.load(more_scales + n * channels + channel, mask=present, other=0.0).to(SUM)
        u += tl.load(more + at, mask=inside, other=0.0).to(SUM) * factor[None, :]
    if noise is not None:
        drawn = tl.load(noise + n * noise_step + pixel, mask=pixel < pixels, other=0.0).to(SUM)
        u += (drawn * tl.load(strength).to(SUM) * GAIN)[:, None]
    if bias is not None:
        u += (tl.load(bias + channel, mask=present, other=0.0).to(SUM) * GAIN)[None, :]
    if y is None:
        u = tl.where(u > 0, u, u * SLOPE)
        if LIMIT is not None:
            u = tl.where(u > LIMIT, LIMIT, tl.where(u < -LIMIT, -LIMIT, u))  # NaN stays
    else:
        u = _through(u, tl.load(y + at, mask=inside, other=0.0).to(SUM), SLOPE, LIMIT)
    tl.store(out + at, u.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _pull(
    out,
    by_scales,
    by_noise,
    by_bias,
    grad,
    y,
    scales,
    x,
    noise,
    pixels,
    channels,
    noise_step,
    GAIN: tl.constexpr,
    SLOPE: tl.constexpr,
    LIMIT: tl.constexpr,
    HALF: tl.constexpr,
    SUM: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    n, tile, block, pixel, channel = _place(pixels, channels, PIXELS, CHANNELS)
    present = channel < channels
    inside = (pixel < pixels)[:, None] & present[None, :]
    at = n * pixels * channels + pixel[:, None] * channels + channel[None, :]
    h = tl.load(grad + at, mask=inside, other=0.0).to(SUM)
    h = _through(h, tl.load(y + at, mask=inside, other=0.0).to(SUM), SLOPE, LIMIT)
    if HALF:
        h = _finite(h)
    pulled = h
    if scales is not None:
        pulled = h * tl.load(scales + n * channels + channel, mask=present, other=0.0).to(SUM)[None, :]
    tl.store(out + at, pulled.to(out.dtype.element_ty), mask=inside)
    sums = (n * tl.cdiv(pixels, PIXELS) + tile) * channels + channel
    if by_scales is not None:
        factor = tl.load(x + at, mask=inside, other=0.0).to(SUM)
        if HALF:
            factor = _finite(factor)
        tl.store(by_scales + sums, tl.sum(h * factor, axis=0), mask=present)
    if by_noise is not None:
        drawn = tl.load(noise + n * noise_step + pixel, mask=pixel < pixels, other=0.0).to(SUM)
        own = tl.sum(tl.sum(h, axis=1) * drawn, axis=0) * GAIN
        tl.store(by_noise + (n * tl.cdiv(pixels, PIXELS) + tile) * tl.cdiv(channels, CHANNELS) + block, own)
    if by_bias is not None:
        tl.store(by_bias + sums, tl.sum(h, axis=0) * GAIN, mask=present)


class _Tiling:
    """How programs of about `elements` each share x [N, C, H, W]."""

    def __init__(self, x: Tensor, elements: int) -> None:
        n, self.channels, height, width = x.shape
        self.pixels = height * width
        self.block = min(MOST_CHANNELS, triton.next_power_of_2(self.channels))
        self.side = elements // self.block
        self.tiles = n * triton.cdiv(self.pixels, self.side)
        self.blocks = triton.cdiv(self.channels, self.block)

    @property
    def grid(self) -> tuple[int]:
        return (self.tiles * self.blocks,)

    def shape(self, noise: Tensor | None) -> tuple[int, int, int]:
        """The kernels' arguments pixels, channels and noise_step: one map for all samples, or one for each."""
        return self.pixels, self.channels, self.pixels if noise is not None and noise.dim() == 4 else 0


def _ordered(x: Tensor | None) -> Tensor | None:
    """Maps in channels_last, all else contiguous."""
    if x is None:
        return None
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 and x.shape[1] > 1 else x.contiguous()


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


def _wide(x: Tensor) -> tuple[torch.dtype, tl.dtype]:
    """The type of arithmetic."""
    return (torch.float64, tl.float64) if x.dtype == torch.float64 else (torch.float32, tl.float32)


def push(
    x: Tensor,
    scales: Tensor | None,
    more: tuple[Tensor, Tensor] | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    y: Tensor | None,
    form: Form,
) -> Tensor:
    """The kernel of `one_pass.push`."""
    tiling, out = _Tiling(x, PUSHED), _like(x)
    noise = None if strength is None else noise
    _push[tiling.grid](
        out,
        *map(_ordered, (x, scales, *(more or (None, None)), noise, strength, bias, y)),
        *tiling.shape(noise),
        GAIN=form.gain,
        SLOPE=form.slope,
        LIMIT=form.edge(x.dtype),
        SUM=_wide(x)[1],
        PIXELS=tiling.side,
        CHANNELS=tiling.block,
    )
    return out


def pull(
    grad: Tensor,
    y: Tensor,
    scales: Tensor | None,
    x: Tensor | None,
    noise: Tensor | None,
    bias: bool,
    form: Form,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """The kernel of `one_pass.pull`."""
    tiling, out = _Tiling(grad, PULLED), _like(grad)
    n, c = grad.shape[:2]
    dtype, total = _wide(grad)
    by_scales = None if x is None else grad.new_empty(n, tiling.tiles // n, c, dtype=dtype)
    by_noise = None if noise is None else grad.new_empty(tiling.grid, dtype=dtype)
    by_bias = grad.new_empty(tiling.tiles, c, dtype=dtype) if bias else None
    _pull[tiling.grid](
        out,
        by_scales,
        by_noise,
        by_bias,
        *map(_ordered, (grad, y, scales, x, noise)),
        *tiling.shape(noise),
        GAIN=form.gain,
        SLOPE=form.slope,
        LIMIT=form.edge(grad.dtype),
        HALF=grad.dtype == torch.float16,
        SUM=total,
        PIXELS=tiling.side,
        CHANNELS=tiling.block,
    )
    return (
        out,
        None if by_scales is None else by_scales.sum(1),
        None if by_noise is None else by_noise.sum(),
        None if by_bias is None else by_bias.sum(0),
    )
