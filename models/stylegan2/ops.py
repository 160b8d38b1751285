"""Operators of StyleGAN2 (arXiv:1912.04958) in plain torch operations, all twice differentiable.

Resampling uses the binomial low-pass [1, 3, 3, 1] per axis with zeros beyond the border. A convolution that
changes resolution stays two steps, the strided convolution and the depthwise filter: their product, one
6 x 6 kernel, costs four times the multiplications and was slower at every size measured.
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
from leangan.core.ranks import world_size
from leangan.plugins.precision import cast

FIR = (0.125, 0.375, 0.375, 0.125)
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)  # keeps the second moment of a unit Gaussian nearly 1; layers fold it into weights


def scaled(parameter: Tensor, gain: float, dtype: torch.dtype | None = None) -> Tensor:
    """parameter * gain in `dtype`, by default the parameter's own."""
    y = parameter if gain == 1 else parameter * gain
    return cast(y, dtype or y.dtype)


def rms_normalize(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Rows of x [N, D] divided by their root mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


@constant
def depthwise_fir(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The low-pass with sum `gain` as the weight [C, 1, 4, 4] of a convolution with C = `channels` groups."""
    taps = torch.tensor(FIR, dtype=dtype, device=device)
    return (gain * torch.outer(taps, taps)).repeat(channels, 1, 1, 1)


@fusible("leangan.models.stylegan2.fir_kernel")
def correlate(x: Tensor, gain: float, stride: int, padding: int) -> Tensor:
    """The low-pass with sum `gain` at every `stride`-th place of x [N, C, H, W] between `padding` zeros."""
    groups = x.shape[1]
    return F.conv2d(x, depthwise_fir(groups, gain, x.dtype, x.device), stride=stride, padding=padding, groups=groups)


@fusible("leangan.models.stylegan2.fir_kernel")
def scatter(x: Tensor, gain: float) -> Tensor:
    """Zeros between the pixels of x [N, C, H, W], then the low-pass with sum `gain` -> [N, C, 2H, 2W]."""
    groups = x.shape[1]
    return F.conv_transpose2d(x, depthwise_fir(groups, gain, x.dtype, x.device), stride=2, padding=1, groups=groups)


def low_pass(x: Tensor, gain: float, padding: int) -> Tensor:
    """The low-pass over x [N, C, H, W] with `padding` zeros, 0 to 3, on each side."""
    # The filter is symmetric: its adjoint is the filter itself, over as many zeros as were left out.
    there, back = (partial(correlate, gain=gain, stride=1, padding=zeros) for zeros in (padding, 3 - padding))
    return linear(x, there, back)


def upsample2d(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros between the pixels, then the low-pass at gain 4."""
    return linear(x, partial(scatter, gain=4.0), partial(correlate, gain=4.0, stride=2, padding=1))


def downsample2d(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: the low-pass, then every second pixel."""
    return linear(x, partial(correlate, gain=1.0, stride=2, padding=1), partial(scatter, gain=1.0))


def conv2d_up(x: Tensor, weight: Tensor) -> Tensor:
    """Zeros between pixels, convolution with weight [O, I, 3, 3], low-pass at gain 4 -> [N, O, 2H, 2W]."""
    # A transposed convolution scatters the kernel, hence the flip that makes it the usual correlation. It takes the
    # kernel as [I, O, 3, 3], whose channels_last is another order of memory than that of [O, I, 3, 3].
    kernel = cast(weight.transpose(0, 1).contiguous(memory_format=torch.channels_last), x.dtype).flip(2, 3)
    return low_pass(F.conv_transpose2d(x, kernel, stride=2), gain=4.0, padding=1)


def conv2d_down(x: Tensor, weight: Tensor) -> Tensor:
    """Low-pass, then convolution with weight [O, I, 3, 3] at every second pixel -> [N, O, H/2, W/2]."""
    return F.conv2d(low_pass(x, gain=1.0, padding=2), weight, stride=2)


def demodulation(energy: Tensor, styles: Tensor, norm: float, eps: float) -> Tensor:
    """Factors [N, O] that give every filter `weight[o, i] * styles[n, i]` the L2 norm `norm` (eq. 3).

    `energy` [O, I] is the sum of squares of `weight` over each kernel, `styles` is [N, I]. `eps` is added to the square
    of the norm that a filter has.
    """
    return norm * (styles.square() @ energy.T + eps).rsqrt()


def modulated_conv2d(
    x: Tensor, weight: Tensor, styles: Tensor, norm: float | None = 1.0, up: bool = False, eps: float = 1e-8
) -> tuple[Tensor, Tensor | None]:
    """Convolve sample n of x [N, I, H, W] with `weight[o, i] * styles[n, i]` (sec. 2.2), but for factors [N, O].

    `weight` is [O, I, K, K] with odd K (K = 3 if `up`, which doubles H and W). The factors, by which the caller
    multiplies the result, demodulate filters to the L2 norm `norm`; None: not at all, and there are none. `eps` is what
    demodulation adds to the mean square of a filter. The batch shares the kernel: convolution is linear, so scaling
    input and output channels gives the same result. x may have 16 bits; the result has its type, the factors that of
    the styles.
    """
    factors = None
    if norm is not None:
        energy, added = weight.square().sum(dim=(2, 3)), eps * weight[0].numel()
        if x.dtype == torch.float16:
            # Demodulation undoes any scale of styles and filters, so both take one that float16 holds. For the same
            # reason no gradient passes through the scales.
            styles = styles / (styles.detach().abs().amax(dim=1, keepdim=True) + eps)
            total = energy.detach().sum(dim=1, keepdim=True) + eps
            weight, energy, added = weight / total.sqrt()[:, :, None, None], energy / total, eps
        factors = demodulation(energy, styles, norm, added)
    x = x * cast(styles, x.dtype)[:, :, None, None]
    y = conv2d_up(x, weight) if up else F.conv2d(x, cast(weight, x.dtype), padding=weight.shape[-1] // 2)
    return y, factors


def minibatch_stddev(x: Tensor, group: int, features: int = 1) -> Tensor:
    """Append `features` maps that hold the mean standard deviation within groups of `group` samples.

    x [N, C, H, W] -> [N, C + features, H, W]; C must be a multiple of `features`. Sample n shares its group
    with n + N/group, n + 2N/group, ... A batch smaller than `group` is one group. With several ranks, x holds
    every W-th sample, and groups must lie within a rank. Raises ValueError unless groups fill the batch.
    """
    n, channels, height, width = x.shape
    group = min(group, n * world_size())
    if n % group:
        raise ValueError(f"{n} images are not a multiple of the minibatch-stddev group of {group}")
    grouped = x.reshape(group, n // group, features, channels // features, height, width)
    variance = (grouped - grouped.mean(dim=0)).square().mean(dim=0)
    stddev = (variance + 1e-8).sqrt()
    maps = stddev.mean(dim=(2, 3, 4))[:, :, None, None].repeat(group, 1, height, width)
    return torch.cat([x, maps], dim=1)
