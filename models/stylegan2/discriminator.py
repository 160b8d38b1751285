"""Discriminators of StyleGAN2: residual (arXiv:1912.04958, fig. 7c) and without skips."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from leangan.core.convolution import differentiated_twice
from leangan.models.stylegan2.layers import Conv, Linear, Mapping
from leangan.models.stylegan2.ops import minibatch_stddev
from leangan.plugins import pair
from leangan.plugins.precision import cast, compute_dtype


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second of which halves the resolution; "resnet" adds a filtered 1 x 1 skip."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        architecture: str,
        half: torch.dtype | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.in_half = half
        # The sum of both branches is divided by sqrt(2) to keep its variance; each carries its share.
        gain = math.sqrt(0.5) if architecture == "resnet" else 1.0
        self.conv0 = Conv(in_channels, in_channels, 3, clamp=clamp)
        self.conv1 = Conv(in_channels, out_channels, 3, down=True, gain=gain, clamp=clamp)
        self.skip = None
        if architecture == "resnet":
            self.skip = Conv(in_channels, out_channels, 1, activate=False, down=True, gain=gain)

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the block computes."""
        # The weight may be recomputed at each access, as under spectral normalisation.
        return compute_dtype(next(self.parameters()), self.in_half)

    def forward(self, x: Tensor) -> Tensor:
        x = cast(x, self.dtype)
        y = self.conv1(self.conv0(x))
        return y if self.skip is None else y + self.skip(x)


class Discriminator(pair.Discriminator):
    """D(x, c) -> logits [N, 1]; the layers stand in the order in which an image passes them.

    Conditional (arXiv:1802.05637 without the unconditional term): the output is a vector, its dot product
    with the normalised label embedding, over sqrt of the length, is the logit.

    Blocks of the resolutions in `half` compute in 16 bits; `clamp` limits the feature maps of all
    convolutions but the skips, as in the networks released with arXiv:2006.06676.
    """

    def __init__(
        self,
        mapping: Mapping | None,
        w_dim: int,
        resolution: int,
        channels: int,
        maps: dict[int, int],
        architecture: str,
        mbstd_group: int,
        mbstd_features: int,
        half: dict[int, torch.dtype] | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.channels = channels
        self.width = self.maps = maps[4]
        self.mbstd_features = mbstd_features
        self.group = mbstd_group if mbstd_features else 1
        self.in_half = (half or {}).get(resolution)
        self.from_rgb = Conv(channels, maps[resolution], 1, clamp=clamp)
        sizes = sorted(maps, reverse=True)
        self.blocks = nn.Sequential(
            *[DiscriminatorBlock(maps[r], maps[r // 2], architecture, (half or {}).get(r), clamp) for r in sizes[:-1]]
        )
        self.conv = Conv(maps[4] + mbstd_features, maps[4], 3, clamp=clamp)
        self.dense = Linear(maps[4] * 4**2, maps[4], activate=True)
        self.output = Linear(maps[4], w_dim if mapping else 1)
        self.mapping = mapping

    def features(self, x: Tensor) -> Tensor:
        """Images [N, channels, resolution, resolution] -> the last hidden layer [N, maps at 4 x 4]."""
        # Where D's gradient with respect to images is asked for while D learns, it is differentiated once more.
        with differentiated_twice(x.requires_grad):
            return self._features(x)

    def _features(self, x: Tensor) -> Tensor:
        x = cast(x.contiguous(memory_format=torch.channels_last), compute_dtype(self.dense.bias, self.in_half))
        x = cast(self.blocks(self.from_rgb(x)), self.dense.bias.dtype)
        if self.mbstd_features:
            x = minibatch_stddev(x, self.group, self.mbstd_features)
        return self.dense(self.conv(x).flatten(1))

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        """Hidden layer and labels -> logits [N, 1]."""
        x = self.output(features)
        if self.mapping is None:
            return x
        return (x * self.mapping(None, c)).sum(dim=1, keepdim=True) / math.sqrt(x.shape[1])

    def head(self, outputs: int) -> Linear:
        return Linear(self.width, outputs)

    def layers(self) -> list[Conv | Linear]:
        named = [(name, layer) for name, layer in self.named_modules() if isinstance(layer, Conv | Linear)]
        return [layer for name, layer in named if not name.startswith("mapping.")]
