"""The networks of the projected discriminator: frozen features, their random projections, and what learns on them."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from leangan.core.efficientnet_lite0 import load_lite0
from leangan.models.biggan.layers import NormInDiscriminator
from leangan.plugins import pair

STAGES = ((0, 3), (3, 5), (5, 11), (11, 16))
"""The blocks of EfficientNet-Lite0 up to the last at 1/4, 1/8, 1/16 and 1/32 of the image's side."""

TAPS = (24, 40, 112, 320)
"""The feature maps there."""

SLOPE = 0.2
"""Of the leaky ReLU."""


class Frozen(nn.Module):
    """Parameters that never learn, and norms that are always those of evaluation."""

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)


class Features(Frozen):
    """Images [N, 3, side, side] in [-1, 1], which is nearly how the network was trained -> the four taps."""

    def __init__(self, side: int) -> None:
        super().__init__()
        network, _ = load_lite0(side)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.stages = nn.ModuleList(nn.Sequential(*network._blocks[first:last]) for first, last in STAGES)
        self.train()

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        return [x := stage(x) for stage in self.stages]


class Projection(Frozen):
    """Mixes the taps x_0, ..., x_3 by random 1 x 1 convolutions C and S (sec. 3.2):

        y_3 = S_3(up(C_3(x_3))),    y_i = S_i(up(C_i(x_i) + y_{i+1}))

    where `up` doubles the side bilinearly, corner pixels onto corner pixels. C_i gives `maps` * 2^i maps (mixing across
    channels), S_i half as many (mixing across scales), but S_0 as many. So y_i has twice the side of x_i.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        widths = [maps << i for i in range(len(TAPS))]
        self.outputs = [maps, *(width // 2 for width in widths[1:])]
        self.across_channels = nn.ModuleList(nn.Conv2d(tap, width, 1) for tap, width in zip(TAPS, widths, strict=True))
        self.across_scales = nn.ModuleList(
            nn.Conv2d(width, output, 1) for width, output in zip(widths, self.outputs, strict=True)
        )
        self.requires_grad_(False)
        self.train()

    def forward(self, taps: list[Tensor]) -> list[Tensor]:
        mixed = [convolution(x) for convolution, x in zip(self.across_channels, taps, strict=True)]
        found: list[Tensor] = []
        for scales, x in zip(reversed(self.across_scales), reversed(mixed), strict=True):
            x = x + found[0] if found else x
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            found.insert(0, scales(x))
        return found


def normalised(*arguments: int, **options: int | bool) -> nn.Module:
    """A convolution whose weight is divided by its largest singular value."""
    return spectral_norm(nn.Conv2d(*arguments, **options))  # type: ignore[arg-type]


def halving(inputs: int, outputs: int, separable: bool) -> nn.Sequential:
    """[N, inputs, H, W] -> [N, outputs, H/2, W/2]: a convolution, batch norm and a leaky ReLU.

    The convolution has 4 x 4 filters and a stride of 2. A `separable` one filters each map with 3 x 3 and mixes the
    maps with 1 x 1, and the mean of 2 x 2 pixels halves the side.
    """
    norm = NormInDiscriminator(outputs)
    if not separable:
        return nn.Sequential(normalised(inputs, outputs, 4, stride=2, padding=1), norm, nn.LeakyReLU(SLOPE))
    filters = normalised(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    mixing = normalised(inputs, outputs, 1, bias=False)
    return nn.Sequential(filters, mixing, norm, nn.LeakyReLU(SLOPE), nn.AvgPool2d(2))


class Discriminator(pair.Discriminator):
    """Four small discriminators on projections of frozen features; the last hidden layer are all their logits.

    The one at y_i (`Projection`) halves the side h - i times, to `maps` * 2^(i+k) maps by halving k, and a 4 x 4
    convolution then gives a logit for each place. h is the number of halvings that bring y_0 of an image of `side` px
    to 8 px or less, 4 at most.

    Args:
        resolution, channels: of the images, of 1 or 3 channels. A single one is given to the features three times.
        side: smaller images are brought to this side, a multiple of 32; larger ones stay as they are.
        maps: of the finest projection.
        separable: see `halving`.
    """

    apart = True

    def __init__(self, resolution: int, channels: int, side: int, maps: int, separable: bool) -> None:
        super().__init__()
        self.resolution, self.channels = resolution, channels
        self.side = max(resolution, side)
        self.pretrained = Features(self.side)
        self.projection = Projection(maps)
        most = min(h for h in range(5) if h == 4 or side >> (h + 1) <= 8)
        self.parts = nn.ModuleList()
        self.width = 0
        for i, width in enumerate(self.projection.outputs):
            halvings = max(most - i, 0)
            widths = [width, *(maps << (i + k) for k in range(halvings))]
            layers = [halving(a, b, separable) for a, b in pairwise(widths)]
            self.parts.append(nn.Sequential(*layers, normalised(widths[-1], 1, 4, bias=False)))
            self.width += ((self.side >> (1 + i + halvings)) - 3) ** 2

    def features(self, x: Tensor) -> Tensor:
        x = x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        if self.resolution < self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        projections = self.projection(self.pretrained(x))
        return torch.cat([part(y).flatten(1) for part, y in zip(self.parts, projections, strict=True)], dim=1)

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        return features.mean(dim=1, keepdim=True)
