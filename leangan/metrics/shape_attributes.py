"""Leaks: how often generated images show what only an augmentation can have put there (arXiv:2006.06676, sec. 2.2).

An augmentation leaks when G learns to draw augmented images. It cannot be excluded by theory alone: what an infinite
sample would tell apart, training may not. It is measured on images of one coloured shape on grey whose orientation, hue
and scale stay within known bounds (`leangan/data/readers/procedural.py`): a leaked rotation, colour or zoom takes them
out of these bounds.

    leak_rates(generated, reals)   # {"orientation": 0.02, "hue": 0.0, "scale": 0.01}

The protocol `leak` computes the same for every snapshot of a run (`leangan/metrics/leak.py`). Reals against reals give
0. A G that draws no clean shapes leaves the bounds as well, so that a rate is to be compared with that of a G trained
without augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

ATTRIBUTES = ("orientation", "hue", "scale")

PERIODS = {"orientation": torch.pi, "hue": 1.0}
"""Those that lie on a circle."""


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

    # Red, green and blue lie 120 degrees apart around the grey axis.
    red, green, blue = (x.flatten(2) * coverage[:, None]).sum(2).unbind(1)
    hue = torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue) / (2 * torch.pi)
    return {
        "orientation": torch.atan2(2 * xy, xx - yy) / 2,
        "hue": hue % 1,
        "scale": 2 * variance.sqrt() / width,
    }


def leak_rates(generated: Tensor, reals: Tensor) -> dict[str, float]:
    """Share of generated images [N, 3, H, W] with an attribute outside the range it has among the reals."""
    return shares_outside(attributes(generated), attributes(reals))


def shares_outside(generated: dict[str, Tensor], reals: dict[str, Tensor]) -> dict[str, float]:
    """The same from the attributes of both, each [N]."""
    rates = {}
    for name, real in reals.items():
        values = generated[name]
        if period := PERIODS.get(name):
            # Measured from the reals' mean direction, so that the range is not cut in two.
            turns = torch.exp(2j * torch.pi * real / period)
            mean = turns.mean().angle() / (2 * torch.pi) * period
            real, values = (((v - mean) / period + 0.5) % 1 for v in (real, values))
        rates[name] = float(((values < real.min()) | (values > real.max())).double().mean())
    return rates
