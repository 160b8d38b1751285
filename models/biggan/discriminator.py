"""Discriminator of BigGAN (arXiv:1809.11096, appendix B, fig. 15): residual, with a projection of the label."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import Attention, Conv, ConvDown, spectral
from leangan.plugins import pair
from leangan.plugins.precision import cast, compute_dtype


class DiscriminatorBlock(nn.Module):
    """[N, in, H, W] -> [N, out, H, W], or half the size if `down`: two times ReLU and convolution, and a skip.

    The `first` block sees the image, and has no ReLU before its first convolution. The skip is the identity where
    neither size nor width changes. `half`: the block's 16-bit type.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        down: bool,
        first: bool,
        init: str,
        attention: bool,
        half: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.in_half = half
        self.down = down
        self.first = first
        conv1 = ConvDown(out_channels, out_channels, 3) if down else Conv(out_channels, out_channels, 3, padding=1)
        self.conv0 = spectral(Conv(in_channels, out_channels, 3, padding=1), init)
        self.conv1 = spectral(conv1, init)
        changes = down or in_channels != out_channels
        self.skip = spectral(Conv(in_channels, out_channels, 1), init) if changes else None
        self.attention = Attention(out_channels, init) if attention else None

    def forward(self, x: Tensor) -> Tensor:
        # The type of a parameter as stored: to read a normalised weight is a step of its spectral norm.
        x = cast(x, compute_dtype(next(self.parameters()), self.in_half))
        h = self.conv0(x if self.first else F.relu(x))
        h = self.conv1(F.relu(h, inplace=True))
        if self.down:
            x = F.avg_pool2d(x, 2)
        if self.skip is not None:
            x = self.skip(x)
        h = h + x
        return h if self.attention is None else self.attention(h)


class Discriminator(pair.Discriminator):
    """D(x, c) -> logits [N, 1]; the layers stand in the order in which an image passes them.

    maps: feature maps after each block, of which the first `down` halve the resolution.
    attention_at: attention follows the block that first reaches this resolution; 0: none.
    half: 16-bit types by resolution; the blocks that take this resolution compute in it, attention included.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        classes: int,
        maps: list[int],
        down: int,
        attention_at: int,
        half: dict[int, torch.dtype],
        init: str,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.channels = channels
        self.c_dim = classes
        self.width = self.maps = maps[-1]
        self.init = init
        blocks = []
        for k, (i, o) in enumerate(zip([channels, *maps], maps, strict=False)):
            attention = k < down and resolution >> (k + 1) == attention_at
            in_half = half.get(resolution >> min(k, down))
            blocks.append(DiscriminatorBlock(i, o, k < down, k == 0, init, attention, in_half))
        self.blocks = nn.Sequential(*blocks)
        self.output = spectral(nn.Linear(maps[-1], 1), init)
        self.embed = spectral(nn.Linear(classes, maps[-1], bias=False), init) if classes else None

    def features(self, x: Tensor) -> Tensor:
        """Images [N, channels, resolution, resolution] -> the last hidden layer [N, maps[-1]], summed over pixels."""
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))
        x = cast(x, next(self.parameters()).dtype)
        return F.relu(x).sum(dim=(2, 3))  # in place it would overwrite the maps that methods look at

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        """Hidden layer and labels -> logits [N, 1], linear plus <embedding, hidden layer> (arXiv:1802.05637)."""
        x = self.output(features)
        if self.embed is None:
            return x
        if c is None:
            raise ValueError(f"this network is conditional: pass c, one-hot [N, {self.c_dim}], not None")
        return x + (self.embed(c) * features).sum(dim=1, keepdim=True)

    def head(self, outputs: int) -> nn.Module:
        return spectral(nn.Linear(self.width, outputs), self.init)
