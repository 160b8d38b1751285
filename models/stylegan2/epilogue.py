"""What follows a convolution: demodulation, noise, bias, leaky ReLU and the limit, in one place.

Leaky ReLU leaves out its gain of sqrt(2): it commutes with a positive factor, so layers fold the gain into
weights, demodulation and `gain`.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.kernels import fusible
from leangan.core.linear_map import linear
from leangan.models.stylegan2.ops import LRELU_SLOPE, scaled
from leangan.plugins.precision import cast


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU in place, without the gain of sqrt(2) that the layers fold in."""
    return F.leaky_relu(x, LRELU_SLOPE, inplace=True)


class _Limited(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limit = limit
        return F.hardtanh(x, -limit, limit)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        pass_inside = partial(torch.ops.aten.hardtanh_backward, self=x.detach(), min_val=-ctx.limit, max_val=ctx.limit)
        return linear(grad, pass_inside, pass_inside), None


def limited(x: Tensor, limit: float | None) -> Tensor:
    """x limited to [-limit, limit]; None: not at all. From the limit on, the gradient is zero."""
    # As torch differentiates clamp, but in one kernel instead of four, once and twice. The mask of the gradient is a
    # linear map and its own adjoint; F.hardtanh by itself adds maps of zeros to the second derivative.
    return x if limit is None else _Limited.apply(x, limit)


@fusible("leangan.models.stylegan2.one_pass")
def epilogue(
    x: Tensor,
    bias: Tensor | None,
    gain: float = 1.0,
    limit: float | None = None,
    activate: bool = True,
    scales: Tensor | None = None,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
) -> Tensor:
    """limited(leaky_relu(x * scales + gain * (strength * noise + bias))) of x [N, C, H, W], which may be overwritten.

    Without `activate`, leaky ReLU is left out; None leaves out an input. x has 16 bits or the type of the parameters,
    and the result has its type. `scales` [N, C], `bias` [C] and `strength`, a number, have the type of the parameters;
    `noise` [N, 1, H, W] or [H, W] that of x.
    """
    if scales is not None:
        x = x * cast(scales, x.dtype)[:, :, None, None]
    if noise is not None and strength is not None:
        x = x.add_(noise * scaled(strength, gain, x.dtype))
    if bias is not None:
        x = x.add_(scaled(bias, gain, x.dtype)[:, None, None])
    return limited(leaky_relu(x) if activate else x, limit)
