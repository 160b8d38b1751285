"""The low-pass between resolutions, [1, 3, 3, 1] / 8 along both axes, with zeros beyond the border (arXiv:1912.04958).

A CPU computes it as a depthwise convolution. cuDNN is slow at that for channels_last maps, which it copies to another
layout and back (docs/gpu.md). So other devices take means over 2 x 2 pixels: [1, 3, 3, 1] is [1, 1] three times, and
[1, 1] over zeros between the pixels repeats each pixel. The results differ by rounding.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.constants import constant
from leangan.core.kernels import fusible
from leangan.core.linear_map import linear

FIR = (0.125, 0.375, 0.375, 0.125)


def low_pass(x: Tensor, gain: float, padding: int) -> Tensor:
    """The low-pass with sum `gain` over x [N, C, H, W] with `padding` zeros, 0 to 3, on each side."""
    # The filter is symmetric: its adjoint is the filter itself, over as many zeros as were left out.
    there, back = (partial(correlate, gain=gain, stride=1, padding=zeros) for zeros in (padding, 3 - padding))
    return linear(x, there, back)


def upsample2d(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros between the pixels, then the low-pass at gain 4."""
    return linear(x, partial(scatter, gain=4.0), partial(correlate, gain=4.0, stride=2, padding=1))


def downsample2d(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: the low-pass, then every second pixel."""
    return linear(x, partial(correlate, gain=1.0, stride=2, padding=1), partial(scatter, gain=1.0))


@fusible("leangan.models.stylegan2.fir_kernel")
def correlate(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    """The low-pass with sum `gain` at every `stride`-th place between `padding` zeros.

    The gain is 4 divided by a whole number, else means raise ValueError.
    """
    return (depthwise_correlate if x.device.type == "cpu" else mean_correlate)(x, gain, stride, padding)


@fusible("leangan.models.stylegan2.fir_kernel")
def scatter(x: Tensor, gain: float) -> Tensor:
    """Zeros between the pixels of x [N, C, H, W], then the low-pass with sum `gain`, likewise -> [N, C, 2H, 2W]."""
    return (depthwise_scatter if x.device.type == "cpu" else mean_scatter)(x, gain)


def depthwise_correlate(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    """`correlate` as a depthwise convolution."""
    groups = x.shape[1]
    return F.conv2d(x, depthwise_fir(groups, gain, x.dtype, x.device), stride=stride, padding=padding, groups=groups)


def depthwise_scatter(x: Tensor, gain: float) -> Tensor:
    """`scatter` as a depthwise convolution."""
    groups = x.shape[1]
    return F.conv_transpose2d(x, depthwise_fir(groups, gain, x.dtype, x.device), stride=2, padding=1, groups=groups)


@constant
def depthwise_fir(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The low-pass with sum `gain` as the weight [C, 1, 4, 4] of a convolution with C = `channels` groups."""
    taps = torch.tensor(FIR, dtype=dtype, device=device)
    return (gain * torch.outer(taps, taps)).repeat(channels, 1, 1, 1)


def mean_correlate(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    """`correlate` as three means. Each of them takes up to one of the zeros, and the last one the stride and gain."""
    divisor = divisor_of(gain)
    for index in range(2):
        x = F.avg_pool2d(x, 2, stride=1, padding=int(index < padding))
    return F.avg_pool2d(x, 2, stride=stride, padding=int(padding == 3), divisor_override=divisor)


def mean_scatter(x: Tensor, gain: float) -> Tensor:
    """`scatter` as two means over repeated pixels."""
    divisor = 4 * divisor_of(gain)
    x = F.avg_pool2d(F.interpolate(x, scale_factor=2), 2, stride=1, padding=1)
    return F.avg_pool2d(x, 2, stride=1, divisor_override=divisor)


def divisor_of(gain: float) -> int:
    """What means divide the sum of four pixels by, for the gain; ValueError where that is no whole number."""
    divisor = round(4 / gain) if gain > 0 else 0
    if not math.isclose(divisor * gain, 4):
        raise ValueError(f"gain is {gain}, but means over 2 x 2 pixels give 4 divided by a whole number: 4, 2, 1, 0.5")
    return divisor
