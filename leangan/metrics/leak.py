"""Leaks: how often generated images show what only an augmentation can have put there (arXiv:2006.06676, sec. 2.2).

An augmentation leaks when G learns to draw augmented images. Theory alone cannot exclude it: training may fail to tell
apart what an infinite sample would. It is measured on images of one coloured shape on grey, whose orientation, hue and
scale stay within known bounds (leangan/data/readers/procedural.py). A leaked rotation, colour or zoom takes them out
of these bounds.

    leak_rates(generated, reals)   # {"orientation": 0.02, "hue": 0.0, "scale": 0.01}

As a metric, the features of an image are these attributes; a leak rate is the share of fakes whose attribute is outside
the range that it has among the reals. Reals against reals give 0. A G that draws no clean shapes leaves the bounds as
well, so compare a rate with that of a G trained without augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leangan.core.errors import ConfigError
from leangan.core.pixels import as_float
from leangan.metrics.base import SHAPE_ATTRIBUTES, Features, Metric, Value

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


class ShapeAttributes(nn.Module):
    """uint8 [N, 3, H, W] -> (attributes float32 [N, 3] in the order of ATTRIBUTES,)."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        measured = attributes(as_float(images))
        return (torch.stack([measured[name] for name in ATTRIBUTES], dim=1),)


class Leak(Metric):
    names = frozenset(f"leak_{name}" for name in ATTRIBUTES)
    minimum = 1

    def __init__(self, real: Features):
        if real.pooled.shape[1] != len(ATTRIBUTES):
            raise ConfigError(
                f"metrics {', '.join(sorted(self.names))} need the extractor {SHAPE_ATTRIBUTES}, not one of"
                f" {real.pooled.shape[1]} features; change metrics or extractor in config/protocols.yaml"
            )
        self.real = by_name(real)

    def __call__(self, fake: Features) -> dict[str, Value]:
        return {f"leak_{name}": Value(rate) for name, rate in shares_outside(by_name(fake), self.real).items()}


def by_name(features: Features) -> dict[str, Tensor]:
    """Each attribute, [N]."""
    return dict(zip(ATTRIBUTES, features.pooled.unbind(1), strict=True))
