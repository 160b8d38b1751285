"""The epilogue of a convolution as one pass over the maps, and one for each of its derivatives, the second included.

With u = x * scales + gain * (strength * noise + bias), the epilogue is y = limited(leaky_relu(u)). The derivative m of
what follows u is 0 where |y| is at the limit, else 1 or the slope by the sign of y, and constant almost everywhere. So
y alone tells it, and all derivatives are made of two maps: `push` carries changes of the inputs to y, `pull` gradients
with respect to y to the inputs. Both have kernels, which read x for the gradient with respect to `scales` alone.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from leangan.core.kernels import fusible
from leangan.models.stylegan2.ops import LRELU_SLOPE


@functools.cache
def _rounded(limit: float, dtype: torch.dtype) -> float:
    return torch.tensor(limit, dtype=dtype, device="cpu").item()


class Form(NamedTuple):
    """The constants of an epilogue; slope 1 is no activation, limit None no limit."""

    gain: float
    slope: float
    limit: float | None

    def edge(self, dtype: torch.dtype) -> float | None:
        """The limit as maps in `dtype` have it."""
        return None if self.limit is None else _rounded(self.limit, dtype)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _per_map(scales: Tensor) -> Tensor:
    return scales[:, :, None, None]


def _through(h: Tensor, y: Tensor, form: Form) -> Tensor:
    """h times the derivative of leaky ReLU and limit where they gave y."""
    h = torch.where(y > 0, h, form.slope * h)
    edge = form.edge(y.dtype)
    return h if edge is None else h.masked_fill(y.abs() >= edge, 0.0)


@fusible("leangan.models.stylegan2.epilogue_kernels")
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
    """The epilogue of u as above, plus the product of the two `more`, maps and their scales; None leaves a term out.

    Given the epilogue's result y, u is multiplied by m instead: a change of the inputs becomes that of y.
    """
    u = _wide(x) if scales is None else _wide(x) * _per_map(scales)
    if more is not None:
        u = u + _wide(more[0]) * _per_map(more[1])
    if noise is not None and strength is not None:
        u = u + form.gain * strength * _wide(noise)
    if bias is not None:
        u = u + form.gain * bias[:, None, None]
    if y is not None:
        return _through(u, y, form).to(x.dtype)
    u = torch.where(u > 0, u, form.slope * u).to(x.dtype)
    edge = form.edge(x.dtype)
    return u if edge is None else u.clamp(-edge, edge)


@fusible("leangan.models.stylegan2.epilogue_kernels")
def pull(
    grad: Tensor,
    y: Tensor,
    scales: Tensor | None,
    x: Tensor | None,
    noise: Tensor | None,
    bias: bool,
    form: Form,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Gradients with respect to x, scales [N, C], strength and bias [C] from `grad`, the one with respect to y.

    Without x, noise or bias, the one with respect to scales, strength or bias is None. These three have the type of the
    arithmetic, float32 or float64. float16 gradients that left its range are cut.
    """
    h = _through(_wide(grad), y, form)
    if grad.dtype == torch.float16:
        h = torch.nan_to_num(h).clamp(-65504, 65504)
    return (
        (h if scales is None else h * _per_map(scales)).to(grad.dtype),
        None if x is None else (h * _wide(x)).sum((2, 3)),
        None if noise is None else form.gain * (h.sum(1, keepdim=True) * _wide(noise)).sum(),
        form.gain * h.sum((0, 2, 3)) if bias else None,
    )


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(ctx, grad, y, scales, x, noise, bias, form):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, y, scales, x, noise)
        ctx.form = form
        return pull(grad, y, scales, x, noise, bias, form)

    @staticmethod
    @once_differentiable
    def backward(ctx, by_x, by_scales, by_strength, by_bias):
        # `pull` is linear in grad, with `push` as its adjoint. In (scales, x) it is symmetric: the same sum over
        # (change of scales, change of x) is the gradient with respect to (x, scales).
        grad, y, scales, x, noise = ctx.saved_tensors
        form = ctx.form
        by_x = torch.zeros_like(grad) if by_x is None else by_x
        more = None if by_scales is None else (x, by_scales)
        by_grad = push(by_x, scales, more, noise, by_strength, by_bias, y, form)
        if not (ctx.needs_input_grad[2] or ctx.needs_input_grad[3]):
            return by_grad, None, None, None, None, None, None
        by_scales = torch.zeros_like(scales) if by_scales is None else by_scales
        through, factors, _, _ = pull(grad, y, by_scales, by_x, None, False, form)
        return by_grad, None, factors, through, None, None, None


class _Epilogue(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scales, noise, strength, bias, form):
        y = push(x, scales, None, noise, strength, bias, None, form)
        by_scales, by_strength = ctx.needs_input_grad[1], ctx.needs_input_grad[3]
        ctx.save_for_backward(y, scales, x if by_scales else None, noise if by_strength else None)
        ctx.form = form
        return y

    @staticmethod
    def backward(ctx, grad):
        y, scales, x, noise = ctx.saved_tensors
        by_bias = ctx.needs_input_grad[4]
        by_x, by_scales, by_strength, by_bias = _Pull.apply(grad, y, scales, x, noise, by_bias, ctx.form)
        return by_x, by_scales, None, by_strength, by_bias, None


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
    """As `epilogue.epilogue`, by `push` and `pull`; x is left as it is."""
    if not activate and all(part is None for part in (bias, limit, scales, strength)):
        return x
    form = Form(gain, LRELU_SLOPE if activate else 1.0, limit)
    return _Epilogue.apply(x, scales, noise, strength, bias, form)
