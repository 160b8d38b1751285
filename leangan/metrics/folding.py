"""Batch norms folded into convolutions: in evaluation a norm scales and shifts each channel by constants.

The convolution before it does the same at no cost when its weights are multiplied by the scales and the shifts are its
bias. Each norm that is left out saves a pass over a map and, on a GPU, a kernel.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_norms(network: nn.Module) -> nn.Module:
    """`network`, in which every batch norm that a module defines right after a convolution has become a part of it.

    For networks in which each such norm gets what that convolution gives, and nothing else does. Weights are multiplied
    in float64 and rounded once, so that features change by no more than float32 rounds.
    """
    for module in list(network.modules()):
        for (_, convolution), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                setattr(module, name, nn.Identity())
    return network


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    bias, mean, variance, gain, shift = (
        None if part is None else part.detach().double()
        for part in (convolution.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    assert mean is not None and variance is not None, "a norm of the batch's own statistics cannot be folded"
    exact = fuse_conv_bn_weights(convolution.weight.detach().double(), bias, mean, variance, norm.eps, gain, shift)
    kind = convolution.weight.dtype
    convolution.weight, convolution.bias = (nn.Parameter(part.to(kind), requires_grad=False) for part in exact)
