"""Layers of FastGAN (arXiv:2101.04775, sec. 3): noise inputs, gated upsampling blocks, skip-layer excitation.

Convolutions and norms are those of BigGAN: spectrally normalised, without biases, weights from N(0, 0.02^2).
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import BatchNorm, Conv, ConvUp, NormInDiscriminator
from leangan.models.biggan.layers import spectral as spectral_with
from leangan.plugins.precision import cast

POOLED = 4
"""Side, in pixels, of the maps that an excitation looks at."""

spectral = partial(spectral_with, init="normal")


def norm(maps: int, eval_statistics: str) -> BatchNorm:
    """Batch normalisation of G with learned gains and biases."""
    return begun(
        BatchNorm(
            maps, condition_dim=0, normalized=False, init="normal", gain_offset=1.0, eval_statistics=eval_statistics
        )
    )


def norm_of_d(maps: int) -> BatchNorm:
    """The same for D, by the statistics of the batch in evaluation, too."""
    return begun(NormInDiscriminator(maps))


def begun(layer: BatchNorm) -> BatchNorm:
    """`layer` with gains drawn from N(1, 0.02^2)."""
    assert isinstance(layer.gain, nn.Parameter)
    nn.init.normal_(layer.gain, 1.0, 0.02)
    return layer


class ConvHalving(Conv):
    """4 x 4 convolution at every second pixel, [N, in, H, W] -> [N, out, H/2, W/2]."""

    def filtered(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, cast(self.weight, x.dtype), bias, stride=2, padding=1)


def halving(in_channels: int, out_channels: int) -> nn.Module:
    """A spectrally normalised `ConvHalving`."""
    return spectral(ConvHalving(in_channels, out_channels, 4, bias=False))


class Noise(nn.Module):
    """x + strength * noise, x [N, C, H, H] and noise ~ N(0, 1) for each image and pixel; the strength starts at 0.

    `fixed`: the same noise for all images, drawn once.
    """

    constant: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("constant", torch.randn(side, side))

    def forward(self, x: Tensor, fixed: bool) -> Tensor:
        return x + self.strength * (self.constant if fixed else torch.randn_like(x[:, :1]))


class Excitation(nn.Module):
    """Skip-layer excitation (eq. 1): maps of another layer [N, in, H, H] give each map a factor from 0 to 1.

    Pooling to 4 x 4, a 4 x 4 convolution, an activation, a 1 x 1 convolution, a sigmoid: [N, out, 1, 1]. The activation
    is SiLU, as in the authors' release; the paper has a leaky ReLU.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = spectral(Conv(in_channels, out_channels, POOLED, bias=False))
        self.conv1 = spectral(Conv(out_channels, out_channels, 1, bias=False))

    def forward(self, source: Tensor) -> Tensor:
        pooled = F.avg_pool2d(source, source.shape[2] // POOLED)
        return torch.sigmoid(self.conv1(F.silu(self.conv0(pooled))))


class UpBlock(nn.Module):
    """[N, in, H, H] -> [N, out, 2H, 2H]: nearest-neighbour upsampling, 3 x 3 convolution, batch norm, GLU.

    GLU halves the maps, a sigmoid(b) of maps (a, b). A `deep` block goes on with another convolution, norm and GLU,
    and has a noise input before either norm. `excited_by`: how many maps there are in the layer that excites what the
    block gives; None: no layer does.

    side: 2H.
    eval_statistics: see `biggan.layers.BatchNorm`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        side: int,
        deep: bool = False,
        excited_by: int | None = None,
        eval_statistics: str = "batch",
    ) -> None:
        super().__init__()
        self.conv0 = spectral(ConvUp(in_channels, 2 * out_channels, 3, bias=False))
        self.norm0 = norm(2 * out_channels, eval_statistics)
        self.conv1 = self.skip = None
        if deep:
            self.noise0, self.noise1 = Noise(side), Noise(side)
            self.conv1 = spectral(Conv(out_channels, 2 * out_channels, 3, padding=1, bias=False))
            self.norm1 = norm(2 * out_channels, eval_statistics)
        self.excitation = Excitation(excited_by, out_channels) if excited_by else None

    def forward(self, x: Tensor, source: Tensor | None = None, fixed_noise: bool = False) -> Tensor:
        x = self.conv0(x)
        if self.conv1 is not None:
            x = F.glu(self.norm0(self.noise0(x, fixed_noise)), dim=1)
            x = self.noise1(self.conv1(x), fixed_noise)
        x = F.glu((self.norm0 if self.conv1 is None else self.norm1)(x), dim=1)
        return x if self.excitation is None else x * self.excitation(source)
