"""Convolutions whose second derivatives are convolutions of the usual kinds.

In a second derivative, torch computes the gradient with respect to the weight as a convolution whose filters are as
large as its maps. The same sum is also the weight gradient of a first derivative, whose kernels suit these shapes and
are several times as fast. <conv(x, w), g> is linear in x, w and g: each of its three derivatives is linear in the other
two, and the derivatives of that are again of these three kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

_twice: ContextVar[bool] = ContextVar("twice", default=False)


@contextmanager
def differentiated_twice(expected: bool = True) -> Iterator[None]:
    """Within it, `convolve` expects a second derivative, if `expected`; elsewhere a second one is as exact, but slow.

    The first derivative alone is faster by torch's own kernels, which give the gradients with respect to maps and
    weight in one call.
    """
    token = _twice.set(expected)
    try:
        yield
    finally:
        _twice.reset(token)


class Geometry(NamedTuple):
    """What torch's convolution takes in addition to tensors."""

    stride: int
    padding: int
    transposed: bool

    def arguments(self) -> tuple[Any, ...]:
        return [self.stride] * 2, [self.padding] * 2, [1, 1], self.transposed, [0, 0], 1


class _Derivative(torch.autograd.Function):
    """The derivative of <conv(x, w), g> with respect to factor `of` of (x, w, g), on which it does not depend.

    Backward gives the gradients with respect to the factors in `by`, and None for the others.
    """

    @staticmethod
    def forward(
        ctx, of: int, by: tuple[int, ...], geometry: Geometry, x: Tensor, w: Tensor, g: Tensor | None
    ) -> Tensor:
        ctx.of, ctx.by, ctx.geometry = of, by, geometry
        ctx.save_for_backward(x, w, g)
        if of == 2:
            return torch.convolution(x, w, None, *geometry.arguments())
        mask = [of == 0, of == 1, False]
        return torch.ops.aten.convolution_backward(g, x, w, None, *geometry.arguments(), mask)[of]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        factors = list(ctx.saved_tensors)
        factors[ctx.of] = grad
        gradients: list[Tensor | None] = [None] * 3
        for factor in ctx.by:
            if factor != ctx.of and ctx.needs_input_grad[3 + factor]:
                gradients[factor] = _Derivative.apply(factor, (0, 1, 2), ctx.geometry, *factors)
        return None, None, None, *gradients


class _ByWeight(torch.autograd.Function):
    """A node that computes the gradient of conv(x, w) with respect to w. Its output has the shape of y, no contents."""

    @staticmethod
    def forward(ctx, w: Tensor, x: list[Tensor], geometry: Geometry, shape: torch.Size) -> Tensor:
        ctx.x, ctx.geometry = x, geometry
        ctx.save_for_backward(w)
        return w.new_empty(()).expand(shape)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _Derivative.apply(1, (0, 1, 2), ctx.geometry, *ctx.x, *ctx.saved_tensors, grad), None, None, None


class _Join(torch.autograd.Function):
    """y, of which `also` is another part of the graph."""

    @staticmethod
    def forward(ctx, y: Tensor, also: Tensor) -> Tensor:
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad


def convolve(x: Tensor, weight: Tensor, stride: int = 1, padding: int = 0, transposed: bool = False) -> Tensor:
    """F.conv2d of x [N, I, H, W] with weight [O, I, K, K], or F.conv_transpose2d with weight [I, O, K, K].

    Differentiable to any order.
    """
    geometry = Geometry(stride, padding, transposed)
    if not (_twice.get() and torch.is_grad_enabled() and x.requires_grad and weight.requires_grad):
        return torch.convolution(x, weight, None, *geometry.arguments())
    # Each node of the graph gives one gradient, so that none is computed that nobody asks for: a penalty on the
    # gradient with respect to images takes no first derivative with respect to weights.
    y = _Derivative.apply(2, (0,), geometry, x, weight, None)
    # In a list, x is no input of the second node, which then is not asked for a gradient with respect to x.
    return _Join.apply(y, _ByWeight.apply(weight, [x], geometry, y.shape))
