"""A linear map of tensors, differentiated as what it is: its derivative is the adjoint, whose derivative is the map.

autograd knows the operations inside a map one by one and differentiates each of them. For a depthwise convolution torch
then computes, in a second derivative, the gradient by the constant filter as well, with one convolution per feature
map. A map that comes with its adjoint costs one call for each derivative, to any order, and stores no intermediates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, forward: Map, adjoint: Map) -> Tensor:
        ctx.maps = forward, adjoint
        return forward(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return linear(grad, adjoint, forward), None, None


def linear(x: Tensor, forward: Map, adjoint: Map) -> Tensor:
    """forward(x), differentiable to any order. Both maps are linear, and <forward(x), y> = <x, adjoint(y)>.

    Nothing but x gets a gradient: whatever else the maps use counts as constant.
    """
    # Where nothing is recorded, as in most backward passes, torch's bookkeeping would cost more than a small map.
    recorded = x.requires_grad and torch.is_grad_enabled()
    return _Linear.apply(x, forward, adjoint) if recorded else forward(x)
