"""Reconstruction: small decoders rebuild each real from D's feature maps (FastGAN, arXiv:2101.04775)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import Conv
from leangan.models.fastgan.layers import UpBlock, spectral
from leangan.plugins import method
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.method import DStep, Networks
from leangan.plugins.notes import note

WIDTHS = (128, 64, 64, 32)
"""Feature maps of a decoder after each doubling."""

NOTES = ("last maps", "maps before the last block")
"""Names under which D's maps are noted."""

QUARTERS = 4


class Decoder(nn.Sequential):
    """Maps [N, in, side, side] -> images [N, channels, H, H] in [-1, 1], H at most `height` and 16 times the side."""

    def __init__(self, in_channels: int, side: int, height: int, channels: int) -> None:
        doublings = min(len(WIDTHS), (height // side).bit_length() - 1)
        maps = [in_channels, *WIDTHS[:doublings]]
        blocks = [UpBlock(maps[k], maps[k + 1], side << (k + 1)) for k in range(doublings)]
        super().__init__(*blocks, spectral(Conv(maps[-1], channels, 3, padding=1, bias=False)), nn.Tanh())


def quarter(x: Tensor, number: Tensor) -> Tensor:
    """Quarter 0, 1, 2 or 3 of maps [N, C, H, H], left to right and top to bottom: [N, C, H/2, H/2]."""
    quarters = x.unflatten(3, (2, -1)).unflatten(2, (2, -1)).permute(2, 4, 0, 1, 3, 5).flatten(0, 1)
    return quarters.index_select(0, number[None])[0]


class Method(method.Method):
    """Adds to D's loss, for reals t as D sees them (sec. 3.2, eq. 3),

        weight * (E |G_1(f_1) - T(t)| + E |G_2(crop(f_2)) - T(crop(t))|)

    f_1 are D's last maps, and f_2 are the maps before its last block. The decoders G_1 and G_2 train with D. crop takes
    the same quarter of the image and of the maps; it is one of four, drawn once for the whole batch. T averages pixels
    down to the resolution of the decoder, which is 16 times that of its maps: 128 x 128 from 8 x 8 maps. To rebuild
    images D has to keep more of them in its maps than it needs to tell reals from fakes.

    A decoder doubles the resolution of its maps up to four times, each time by nearest neighbours, a convolution, batch
    norm and GLU. It ends in a 3 x 3 convolution and a tanh. This is the paper's description. The widths are from memory
    of the authors' release (github.com/odegeasslbc/FastGAN-pytorch).

    Differences: here |.| is the mean over pixels and colours. The paper and the release use the perceptual distance
    LPIPS of a VGG network, which was trained on labelled photographs, and the release sums it over the batch. The
    release has a third decoder for D's second view of an image. It is left out here, as in the paper's equation. The
    T of the release takes every n-th pixel.

    Args:
        weight: 1, this project's choice; the paper has 1 with a different distance.
    """

    title = "Reconstruction"
    paper = "arXiv:2101.04775"
    constants = "paper, project"
    capturable = True
    neutral = {"weight": 0.0}
    needs = frozenset({"blocks"})

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; 0 or more is allowed: change the method's `weight`")
        self.weight = weight

    def prepare(self, networks: Networks) -> None:
        D = networks.D
        if len(D.blocks) < 2:
            raise ValueError(
                f"reconstruction rebuilds images from the last two blocks of D, which has {len(D.blocks)}: leave it out"
            )
        D.apart = True  # the maps of reals alone are rebuilt
        last = len(D.blocks) - 1
        names = [f"blocks.{last}", f"blocks.{last - 1}"]
        with torch.no_grad(), feature_maps(D, names) as maps:
            D.eval().features(torch.zeros(D.group, D.channels, D.resolution, D.resolution))
            D.train()
        decoders = []
        for number, (name, share) in enumerate(zip(names, (1, 2), strict=True)):
            D.get_submodule(name).register_forward_hook(partial(_note, NOTES[number]))
            maps_there, side = maps[name].shape[1:3]
            decoders.append(Decoder(maps_there, side // share, D.resolution // share, D.channels))
        self.decoders = nn.ModuleList(decoders)

    def d_loss(self, ctx: DStep) -> Tensor:
        rebuild, rebuild_part = self.decoders
        last, before = (ctx.noted_real[name][0] for name in NOTES)
        number = torch.randint(QUARTERS, (), device=last.device)
        of_whole = distance(rebuild(last), ctx.t_real)
        of_part = distance(rebuild_part(quarter(before, number)), quarter(ctx.t_real, number))
        return self.weight * (of_whole + of_part)


def _note(name: str, layer: nn.Module, inputs: Any, output: Tensor) -> None:
    note(name, output)


def distance(rebuilt: Tensor, image: Tensor) -> Tensor:
    """The mean absolute difference between a rebuilt image and the image, averaged down to the same resolution."""
    return (rebuilt - F.avg_pool2d(image, image.shape[2] // rebuilt.shape[2])).abs().mean()
