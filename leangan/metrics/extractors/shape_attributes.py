"""No network: orientation, hue and scale of the one coloured shape on grey that an image shows.

Images of leangan/data/readers/procedural.py are such, with each attribute within known bounds. The metrics of
leangan/metrics/formulas/leak.py are computed from them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from leangan.core.code import code_sha256
from leangan.core.pixels import as_float
from leangan.metrics import base

ATTRIBUTES = ("orientation", "hue", "scale")


class Extractor(base.Extractor):
    """Three features, the ATTRIBUTES; `sha256` is that of the code of this file."""

    title = "shape attributes"
    floats = 3

    @staticmethod
    def load(weights: str | Path | None = None, sha256: str | None = None) -> tuple[nn.Module, str]:
        return ShapeAttributes(), code_sha256([Path(__file__)])


class ShapeAttributes(nn.Module):
    """uint8 [N, 3, H, W] -> (attributes float32 [N, 3] in the order of ATTRIBUTES,)."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        measured = attributes(as_float(images))
        return (torch.stack([measured[name] for name in ATTRIBUTES], dim=1),)


def attributes(x: Tensor) -> dict[str, Tensor]:
    """What the shape of each image [N, 3, H, W] in [-1, 1] looks like, [N] each.

    `orientation` of the long axis against the x-axis in (-pi/2, pi/2], counter-clockwise; `hue` in [0, 1), red,
    green and blue at 0, 1/3 and 2/3; `scale`, twice the standard deviation along the long axis over the image
    width, which for an ellipse is half that axis.
    """
    channels, height, width = x.shape[1:]
    if channels != 3:
        raise ValueError(f"images have {channels} channels; attributes are those of a coloured shape: 3")
    # On grey, the spread of the channels is proportional to how much of a pixel the shape covers. A fifth of
    # its largest value is taken off, so that a background not quite grey does not count.
    coverage = (x.amax(1) - x.amin(1)).flatten(1)
    coverage = (coverage - 0.2 * coverage.amax(1, keepdim=True)).clamp(min=0)
    coverage = coverage / coverage.sum(1, keepdim=True).clamp(min=1e-12)
    right = torch.arange(width).to(x).repeat(height)
    up = -torch.arange(height).to(x).repeat_interleave(width)
    right, up = (position - (coverage * position).sum(1, keepdim=True) for position in (right, up))
    xx, xy, yy = ((coverage * product).sum(1) for product in (right * right, right * up, up * up))
    variance = (xx + yy) / 2 + torch.hypot((xx - yy) / 2, xy)

    # Red, green and blue are 120 degrees apart around the grey axis.
    red, green, blue = (x.flatten(2) * coverage[:, None]).sum(2).unbind(1)
    hue = torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue) / (2 * torch.pi)
    return {
        "orientation": torch.atan2(2 * xy, xx - yy) / 2,
        "hue": hue % 1,
        "scale": 2 * variance.sqrt() / width,
    }
