"""Discriminator of FastGAN (arXiv:2101.04775, fig. 4): residual halving blocks, and a logit for each of many places."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import Conv
from leangan.models.fastgan.layers import Excitation, halving, norm_of_d, spectral
from leangan.plugins import pair
from leangan.plugins.notes import note

LAST = 8
"""Side, in pixels, of the maps that places are judged from."""

WINDOW = 4
"""Side of what one place sees of them."""

HIGHEST = 256
"""Where the blocks begin at the latest; larger images are halved before by convolutions alone."""

SMALL = 128
"""Side of the second view of an image, half its own at most."""

REACH = 3
"""Blocks from the maps that excite to those that they excite (authors' release; the paper's figure has none in D)."""

SLOPE = 0.2


def width(maps: int, side: int) -> int:
    """D's feature maps at `side` pixels: 8, 4, 2, 1, 1/2, 1/4, 1/8 times `maps` from 8 to 512 pixels."""
    return 64 * maps // side


def activated(conv: nn.Module, maps: int) -> list[nn.Module]:
    """A convolution to `maps`, batch norm and leaky ReLU."""
    return [conv, norm_of_d(maps), nn.LeakyReLU(SLOPE)]


class DownBlock(nn.Module):
    """[N, in, H, W] -> [N, out, H/2, W/2]: the mean of two paths.

    One path has a 4 x 4 convolution that halves and a 3 x 3 convolution, the other pooling and a 1 x 1 convolution.
    Batch norm and leaky ReLU follow each convolution. `excited_by`: see `layers.UpBlock`.
    """

    def __init__(self, in_channels: int, out_channels: int, excited_by: int | None) -> None:
        super().__init__()
        self.conv0 = halving(in_channels, out_channels)
        self.conv1 = spectral(Conv(out_channels, out_channels, 3, padding=1, bias=False))
        self.skip = spectral(Conv(in_channels, out_channels, 1, bias=False))
        self.norm0, self.norm1, self.norm_skip = (norm_of_d(out_channels) for _ in range(3))
        self.excitation = Excitation(excited_by, out_channels) if excited_by else None

    def forward(self, x: Tensor, source: Tensor | None) -> Tensor:
        h = F.leaky_relu(self.norm0(self.conv0(x)), SLOPE)
        h = F.leaky_relu(self.norm1(self.conv1(h)), SLOPE)
        x = F.leaky_relu(self.norm_skip(self.skip(F.avg_pool2d(x, 2))), SLOPE)
        h = (h + x) / 2
        return h if self.excitation is None else h * self.excitation(source)


class Trunk(nn.Sequential):
    """Blocks one after the other; what goes into a block excites what comes out of the second block after it."""

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for number, block in enumerate(self, start=1):
            maps.append(block(maps[-1], maps[number - REACH] if number >= REACH else None))
        return maps[-1]


class Discriminator(pair.Discriminator):
    """D(x, c) -> logits [N, 1], each the mean over 5 x 5 places of two views: the image, and the image at 128 pixels.

    The logits of all places are noted as "places", [N, 50]. The last hidden layer has the maps of both views at 8 x 8,
    from which one convolution gives them. A label adds the same to all places, by projection of the mean of the first
    view's maps (arXiv:1802.05637).

    Reals and fakes take a pass each, since batch norm compares all images of a pass.
    """

    apart = True

    def __init__(self, resolution: int, channels: int, classes: int, maps: int) -> None:
        super().__init__()
        self.resolution, self.channels, self.c_dim = resolution, channels, classes
        begin = min(resolution, HIGHEST)
        self.entry = nn.Sequential(*self._entry(resolution, begin, channels, maps))
        sides = [begin >> k for k in range((begin // LAST).bit_length())]
        numbers = [width(maps, side) for side in sides]
        self.maps = numbers[-1]
        self.blocks = Trunk(
            *(
                DownBlock(numbers[k - 1], numbers[k], numbers[k - REACH] if k >= REACH else None)
                for k in range(1, len(numbers))
            )
        )
        self.hidden = nn.Sequential(*activated(spectral(Conv(numbers[-1], 16 * maps, 1, bias=False)), 16 * maps))
        self.shrink = resolution // min(resolution // 2, SMALL)
        side = resolution // self.shrink // 2
        small: list[nn.Module] = [halving(channels, width(maps, side) // 2), nn.LeakyReLU(SLOPE)]
        while side > LAST:
            side //= 2
            small += activated(halving(width(maps, side) // 4, width(maps, side) // 2), width(maps, side) // 2)
        self.small = nn.Sequential(*small)
        outputs = (16 * maps, width(maps, LAST) // 2)
        self.widths = [number * LAST**2 for number in outputs]
        self.width = sum(self.widths)
        self.outputs = nn.ModuleList(spectral(Conv(number, 1, WINDOW, bias=False)) for number in outputs)
        self.embed = spectral(nn.Linear(classes, outputs[0], bias=False)) if classes else None

    @staticmethod
    def _entry(resolution: int, begin: int, channels: int, maps: int) -> list[nn.Module]:
        """The layers before the blocks: a 3 x 3 convolution, or as many halving ones as it takes."""
        if resolution == begin:
            return [spectral(Conv(channels, width(maps, begin), 3, padding=1, bias=False)), nn.LeakyReLU(SLOPE)]
        side = resolution // 2
        layers = [halving(channels, width(maps, side)), nn.LeakyReLU(SLOPE)]
        while side > begin:
            side //= 2
            layers += activated(halving(width(maps, 2 * side), width(maps, side)), width(maps, side))
        return layers

    def features(self, x: Tensor) -> Tensor:
        """Images [N, channels, resolution, resolution] -> the maps of both views at 8 x 8, [N, width]."""
        x = x.contiguous(memory_format=torch.channels_last)
        image, small = self.hidden(self.blocks(self.entry(x))), self.small(F.avg_pool2d(x, self.shrink))
        return torch.cat([image.flatten(1), small.flatten(1)], dim=1)

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        """Hidden layer and labels -> logits [N, 1], the mean over places."""
        views = [view.unflatten(1, (-1, LAST, LAST)) for view in features.split(self.widths, dim=1)]
        places = torch.cat([output(view).flatten(1) for output, view in zip(self.outputs, views, strict=True)], dim=1)
        if self.embed is not None:
            if c is None:
                raise ValueError(f"this network is conditional: pass c, one-hot [N, {self.c_dim}], not None")
            places = places + (self.embed(c) * views[0].mean(dim=(2, 3))).sum(dim=1, keepdim=True)
        note("places", places)
        return places.mean(dim=1, keepdim=True)

    def head(self, outputs: int) -> nn.Module:
        return spectral(nn.Linear(self.width, outputs))
