"""Layers with equalised learning rates (arXiv:1710.10196, sec. 4.1; arXiv:1912.04958, appendix B).

A weight is stored with unit variance and multiplied by 1/sqrt(fan_in) where it is used, so Adam moves every
layer at the same relative speed. An activated layer is followed by leaky ReLU times sqrt(2); since leaky ReLU
commutes with a positive factor, that factor is folded into weights, biases and demodulation.

Convolutions compute in the type of their input (see `plugins.precision`) and limit their output to
+-`clamp` times their gain.

A method may set `before_bias` of a `Linear` or `Conv`, a function of what the layer gives, gain included, before
bias and activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.core.convolution import convolve
from leangan.models.stylegan2 import ops
from leangan.models.stylegan2.epilogue import epilogue, leaky_relu
from leangan.models.stylegan2.low_pass import downsample2d


class Linear(nn.Module):
    """Dense layer [N, in] -> [N, out]; parameters learn `lr_multiplier` times as fast as others."""

    before_bias: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.bias_gain = lr_multiplier * (ops.LRELU_GAIN if activate else 1.0)
        self.weight_gain = self.bias_gain / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = ops.scaled(self.weight, self.weight_gain), ops.scaled(self.bias, self.bias_gain)
        x = F.linear(x, weight, bias) if self.before_bias is None else self.before_bias(F.linear(x, weight)) + bias
        return leaky_relu(x) if self.activate else x


def in_few_products(layers: Sequence[Linear], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The output [N, out] of each layer for its own input [N, in]. The layers activate nothing and have equal gains.

    Those of the same shape make one product. Their `forward` is not called.
    """
    outputs: dict[int, Tensor] = {}
    for width in dict.fromkeys(len(layer.bias) for layer in layers):
        places = [place for place, layer in enumerate(layers) if len(layer.bias) == width]
        weight = torch.stack([layers[place].weight for place in places])
        bias = torch.stack([layers[place].bias for place in places])
        x = torch.stack([inputs[place] for place in places])
        first = layers[places[0]]
        y = torch.baddbmm(ops.scaled(bias, first.bias_gain)[:, None], x, weight.mT, alpha=first.weight_gain)
        outputs |= dict(zip(places, y.unbind(), strict=True))
    return [outputs[place] for place in range(len(layers))]


class Mapping(nn.Module):
    """z [N, z_dim] and c [N, c_dim] -> w [N, w_dim]; either input may be absent (dimension 0).

    Both are normalised by their root mean square, c after a dense embedding, and concatenated.
    """

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.embed = Linear(c_dim, w_dim) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * layers
        self.layers = nn.Sequential(
            *[Linear(i, o, activate=True, lr_multiplier=lr_multiplier) for i, o in pairwise(widths)]
        )

    def forward(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        if self.embed is not None and c is None:
            raise ValueError(f"this network is conditional: pass c, one-hot [N, {self.c_dim}], not None")
        inputs = []
        if z is not None:
            inputs.append(ops.rms_normalize(z))
        if self.embed is not None:
            inputs.append(ops.rms_normalize(self.embed(c)))
        return self.layers(torch.cat(inputs, dim=1))


def filters(out_channels: int, in_channels: int, kernel: int) -> nn.Parameter:
    """The weight [out, in, kernel, kernel] of a convolution, drawn from N(0, 1).

    It is channels_last, as the maps are: otherwise each convolution copies it, and its gradient, to that layout.
    """
    weight = torch.randn(out_channels, in_channels, kernel, kernel)
    return nn.Parameter(weight.contiguous(memory_format=torch.channels_last))


class Conv(nn.Module):
    """Convolution [N, in, H, W] -> [N, out, H, W], or half the size if `down`; `gain` scales the output.

    With `activate`: bias and leaky ReLU times sqrt(2). Without: neither (the skip of a residual block).
    """

    before_bias: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        activate: bool = True,
        down: bool = False,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.down = down
        self.weight = filters(out_channels, in_channels, kernel)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if activate else None
        self.bias_gain = gain * (ops.LRELU_GAIN if activate else 1.0)
        self.weight_gain = self.bias_gain / math.sqrt(in_channels * kernel**2)
        self.limit = None if clamp is None else clamp * gain

    def forward(self, x: Tensor) -> Tensor:
        weight = ops.scaled(self.weight, self.weight_gain, x.dtype)
        if not self.down:
            x = convolve(x, weight, padding=weight.shape[-1] // 2)
        elif weight.shape[-1] == 1:
            x = convolve(downsample2d(x), weight)
        else:
            x = ops.conv2d_down(x, weight)
        if self.before_bias is not None:
            # The epilogue overwrites its input; what a method gives may be needed for its derivative.
            x = self.before_bias(x).clone()
        return epilogue(x, self.bias, self.bias_gain, self.limit, activate=self.bias is not None)


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution, noise of learned strength, bias, leaky ReLU (arXiv:1912.04958, fig. 2d).

    `resolution` is that of the output, twice the input's if `up`. `noise` False leaves the noise input out.
    """

    noise_const: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        up: bool = False,
        noise: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up = up
        self.limit = clamp
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = filters(out_channels, in_channels, 3)
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution) if noise else None)

    def forward(self, x: Tensor, styles: Tensor, noise_mode: str) -> Tensor:
        """x [N, in, H, W] and what `affine` gives of w, [N, in].

        Noise is drawn per sample ("random") or the stored map ("const").
        """
        # No gain of 1/sqrt(fan_in): demodulation would undo it.
        x, scales = ops.modulated_conv2d(x, self.weight, styles, norm=ops.LRELU_GAIN, up=self.up)
        noise = None
        if self.noise_strength is not None and self.noise_const is not None:
            noise = torch.randn_like(x[:, :1]) if noise_mode == "random" else self.noise_const.to(x.dtype)
        return epilogue(
            x, self.bias, ops.LRELU_GAIN, self.limit, scales=scales, noise=noise, strength=self.noise_strength
        )


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution without demodulation, and a bias: features to image channels."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.limit = clamp
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = filters(out_channels, in_channels, 1)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """x [N, in, H, W] and what `affine` gives of w, [N, in]."""
        x, _ = ops.modulated_conv2d(x, self.weight, styles * self.weight_gain, norm=None)
        return epilogue(x, self.bias, limit=self.limit, activate=False)
