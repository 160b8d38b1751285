"""Generator of StyleGAN2 with skip connections (arXiv:1912.04958, fig. 2d and 7b)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from leangan.core.ranks import mean_over_ranks
from leangan.models.stylegan2.layers import Mapping, StyledConv, ToRGB, in_few_products
from leangan.models.stylegan2.low_pass import upsample2d
from leangan.plugins import pair
from leangan.plugins.precision import cast, compute_dtype


class SynthesisBlock(nn.Module):
    """Two styled convolutions, the first of which doubles the resolution, and the block's image.

    The 4 x 4 block (`in_channels` None) has one convolution; its input is the learned constant. The images are
    summed in the type of the weights, also when the block computes in 16 bits (`half`).
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        w_dim: int,
        resolution: int,
        channels: int,
        noise: bool,
        half: torch.dtype | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.in_half = half
        self.conv0 = None
        if in_channels is not None:
            self.conv0 = StyledConv(in_channels, out_channels, w_dim, resolution, up=True, noise=noise, clamp=clamp)
        self.conv1 = StyledConv(out_channels, out_channels, w_dim, resolution, noise=noise, clamp=clamp)
        self.to_rgb = ToRGB(out_channels, channels, w_dim, clamp)

    def forward(
        self, x: Tensor, image: Tensor | None, styles: Iterator[Tensor], noise_mode: str
    ) -> tuple[Tensor, Tensor]:
        """`styles` gives those of each layer in turn, [N, maps]."""
        convs = [self.conv1] if self.conv0 is None else [self.conv0, self.conv1]
        x = cast(x, compute_dtype(self.conv1.weight, self.in_half))
        for conv in convs:
            x = conv(x, next(styles), noise_mode)
        rgb = cast(self.to_rgb(x, next(styles)), self.conv1.weight.dtype)
        return x, rgb if image is None else upsample2d(image) + rgb


class Generator(pair.Generator):
    """G(z, c) -> images [N, channels, resolution, resolution].

    In training mode a call also updates `w_avg`, the moving average of w, and mixes styles: with probability
    `style_mixing`, layers from a random cut on (one for the batch) take the w of a second z
    (arXiv:1812.04948, sec. 3.1). Buffer `pl_mean` belongs to the path-length regularisation. Blocks of the
    resolutions in `half` compute in 16 bits; `clamp` limits the feature maps of all convolutions.
    """

    w_avg: Tensor
    pl_mean: Tensor

    def __init__(
        self,
        mapping: Mapping,
        w_dim: int,
        resolution: int,
        channels: int,
        maps: dict[int, int],
        style_mixing: float,
        w_avg_decay: float,
        noise: bool = True,
        half: dict[int, torch.dtype] | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.z_dim = mapping.z_dim
        self.c_dim = mapping.c_dim
        self.resolution = resolution
        self.channels = channels
        self.style_mixing = style_mixing
        self.w_avg_decay = w_avg_decay
        self.mapping = mapping
        self.const = nn.Parameter(torch.randn(maps[4], 4, 4))
        self.blocks = nn.ModuleList(
            [
                SynthesisBlock(maps.get(r // 2), maps[r], w_dim, r, channels, noise, (half or {}).get(r), clamp)
                for r in sorted(maps)
            ]
        )
        self.num_ws = 2 * len(self.blocks)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.register_buffer("pl_mean", torch.zeros(()))

    def forward(self, z: Tensor, c: Tensor | None, truncation_psi: float = 1.0, noise_mode: str = "random") -> Tensor:
        """`truncation_psi` scales the deviation of w from `w_avg`; `noise_mode` is "random" or "const"."""
        ws = self.styles(z, c)
        if truncation_psi != 1:
            ws = self.w_avg.lerp(ws, truncation_psi)
        return self.synthesis(ws, noise_mode)

    def latent(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.styles(z, c)

    def render(self, latent: Tensor, c: Tensor | None) -> Tensor:
        return self.synthesis(latent, "const")

    def styled_layers(self) -> list[StyledConv]:
        return [layer for layer in self.modules() if isinstance(layer, StyledConv)]

    def styles(self, z: Tensor, c: Tensor | None) -> Tensor:
        """z [N, z_dim] -> one w per layer [N, num_ws, w_dim], mixed in training mode."""
        mixing = self.training and self.style_mixing > 0
        if mixing:
            # One pass of the mapping network for both; c comes twice.
            z, c = torch.cat([z, torch.randn_like(z)]), None if c is None else c.repeat(2, 1)
        w = self.mapping(z, c)
        if mixing:
            w, other = w.chunk(2)
        ws = w[:, None].expand(-1, self.num_ws, -1)
        if self.training:
            self.w_avg.lerp_(mean_over_ranks(w.detach().mean(dim=0)), 1 - self.w_avg_decay)
        if mixing:
            # Drawn and applied on the device: no step waits for the host to read the cut.
            cut = torch.randint(1, self.num_ws, (), device=z.device)
            mixed = torch.rand((), device=z.device) < self.style_mixing
            layer = torch.arange(self.num_ws, device=z.device)[:, None]
            ws = torch.where(mixed & (layer >= cut), other[:, None], ws)
        return ws

    def synthesis(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        """ws [N, num_ws, w_dim] -> images."""
        if noise_mode not in ("random", "const"):
            raise ValueError(f'noise_mode is {noise_mode!r}, must be "random" or "const"')
        x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image = None
        styles = iter(self._styles(ws))
        for block in self.blocks:
            x, image = block(x, image, styles, noise_mode)
        assert image is not None  # there is at least the block of 4 x 4
        return image

    def _styles(self, ws: Tensor) -> list[Tensor]:
        """The styles of all layers, in their order.

        Every convolution has a w of its own. `to_rgb` shares that of the next block's first convolution.
        """
        of_convs, taken, affines = ws.unbind(dim=1), [], []
        convs = 0
        for layer in self.modules():
            if isinstance(layer, StyledConv | ToRGB):
                taken.append(of_convs[convs])
                affines.append(layer.affine)
                convs += isinstance(layer, StyledConv)
        return in_few_products(affines, taken)
