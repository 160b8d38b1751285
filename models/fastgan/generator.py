"""Generator of FastGAN (arXiv:2101.04775, fig. 3): one or two convolutions a resolution, and skip-layer excitation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import Conv
from leangan.models.fastgan.layers import UpBlock, norm, spectral
from leangan.plugins import pair

EXCITING = (4, 8, 16, 32)
"""Resolutions whose maps excite maps further up."""


def width(maps: int, side: int) -> int:
    """G's feature maps at `side` pixels: 16, 8, 4, 2, 2, 1, 1/2, 1/4, 1/8 times `maps` from 4 to 1024 pixels."""
    return maps * (64 if side < 64 else 128) // side


class Generator(pair.Generator):
    """G(z, c) -> images [N, channels, resolution, resolution] in [-1, 1].

    Blocks with two convolutions and with one take turns, from 8 pixels up. Maps of L pixels excite those of
    `excitation_factor` * L. A one-hot label is appended to z.

    sampling_batch: in evaluation the images depend on this many in a batch (None: each only on its own z and c).
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        classes: int,
        z_dim: int,
        maps: int,
        excitation_factor: int,
        eval_statistics: str,
        eval_batch: int,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim = z_dim, classes
        self.resolution, self.channels = resolution, channels
        self.eval_statistics = eval_statistics
        self.sampling_batch = eval_batch if eval_statistics == "batch" else None
        self.sources = {low * excitation_factor: low for low in EXCITING}
        self.start = spectral(nn.ConvTranspose2d(z_dim + classes, 2 * width(maps, 4), 4, bias=False))
        self.start_norm = norm(2 * width(maps, 4), eval_statistics)
        self.sides = [8 << k for k in range(resolution.bit_length() - 3)]
        self.blocks = nn.ModuleList(
            UpBlock(
                width(maps, side // 2),
                width(maps, side),
                side,
                deep=number % 2 == 0,
                excited_by=width(maps, self.sources[side]) if side in self.sources else None,
                eval_statistics=eval_statistics,
            )
            for number, side in enumerate(self.sides)
        )
        self.to_rgb = spectral(Conv(width(maps, resolution), channels, 3, padding=1, bias=False))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.synthesis(z, c, fixed_noise=False)

    def render(self, latent: Tensor, c: Tensor | None) -> Tensor:
        return self.synthesis(latent, c, fixed_noise=True)

    def synthesis(self, z: Tensor, c: Tensor | None, fixed_noise: bool) -> Tensor:
        if self.c_dim:
            if c is None:
                raise ValueError(f"this network is conditional: pass c, one-hot [N, {self.c_dim}], not None")
            z = torch.cat([z, c], dim=1)
        x = self.start(z[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        x = F.glu(self.start_norm(x), dim=1)
        maps = {4: x}
        for side, block in zip(self.sides, self.blocks, strict=True):
            x = maps[side] = block(x, maps.get(self.sources.get(side, 0)), fixed_noise)
        return torch.tanh(self.to_rgb(x))
