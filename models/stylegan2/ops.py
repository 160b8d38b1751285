"""Operators of StyleGAN2 (arXiv:1912.04958) in plain torch operations, all twice differentiable.

A convolution that changes resolution stays two steps, the strided convolution and the low-pass: their product, one
6 x 6 kernel, costs four times the multiplications and was slower at every size measured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from leangan.core.convolution import convolve
from leangan.core.ranks import world_size
from leangan.models.stylegan2.low_pass import low_pass
from leangan.plugins.precision import cast

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)  # keeps the second moment of a unit Gaussian nearly 1; layers fold it into weights


def scaled(parameter: Tensor, gain: float | Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """parameter * gain in `dtype`, by default the parameter's own."""
    y = parameter * gain if isinstance(gain, Tensor) or gain != 1 else parameter
    return cast(y, dtype or y.dtype)


def rms_normalize(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Rows of x [N, D] divided by their root mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def conv2d_up(x: Tensor, weight: Tensor) -> Tensor:
    """Zeros between pixels, convolution with weight [O, I, 3, 3], low-pass at gain 4 -> [N, O, 2H, 2W]."""
    # A transposed convolution scatters the kernel, hence the flip that makes it the usual correlation. It takes the
    # kernel as [I, O, 3, 3], whose channels_last is another order of memory than that of [O, I, 3, 3].
    kernel = cast(weight.transpose(0, 1).contiguous(memory_format=torch.channels_last), x.dtype).flip(2, 3)
    return low_pass(convolve(x, kernel, stride=2, transposed=True), gain=4.0, padding=1)


def conv2d_down(x: Tensor, weight: Tensor) -> Tensor:
    """Low-pass, then convolution with weight [O, I, 3, 3] at every second pixel -> [N, O, H/2, W/2]."""
    return convolve(low_pass(x, gain=1.0, padding=2), weight, stride=2)


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
    y = conv2d_up(x, weight) if up else convolve(x, cast(weight, x.dtype), padding=weight.shape[-1] // 2)
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
