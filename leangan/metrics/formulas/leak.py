"""Leaks: how often generated images show what only an augmentation can have put there (arXiv:2006.06676, sec. 2.2).

An augmentation leaks when G learns to draw augmented images. Theory alone cannot exclude it: training may fail to tell
apart what an infinite sample would. It is measured on images of one coloured shape on grey, whose orientation, hue and
scale stay within known bounds (leangan/data/readers/procedural.py). A leaked rotation, colour or zoom takes them out
of these bounds.

    leak_rates(generated, reals)   # {"orientation": 0.02, "hue": 0.0, "scale": 0.01}

As a metric, the features of an image are these attributes (leangan/metrics/extractors/shape_attributes.py). A leak rate
is the share of fakes whose attribute is outside the range that it has among the reals. Reals against reals give 0. A G
that draws no clean shapes leaves the bounds as well, so compare a rate with that of a G trained without augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.metrics import base
from leangan.metrics.base import Family, Features, Value
from leangan.metrics.extractors.shape_attributes import ATTRIBUTES, attributes

PERIODS = {"orientation": torch.pi, "hue": 1.0}
"""Attributes that are angles."""


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


class Metric(base.Metric):
    """A rate for each attribute."""

    families = (
        Family(
            name="leak_orientation",
            title="Leaked orientation",
            place=160,
            digits=3,
            bounds=(0, 1),
            extractors=("shape_attributes",),
        ),
        Family(
            name="leak_hue", title="Leaked hue", place=170, digits=3, bounds=(0, 1), extractors=("shape_attributes",)
        ),
        Family(
            name="leak_scale",
            title="Leaked scale",
            place=180,
            digits=3,
            bounds=(0, 1),
            extractors=("shape_attributes",),
        ),
    )

    def __init__(self, real: Features):
        self.real = by_name(real)

    def __call__(self, fake: Features) -> dict[str, Value]:
        return {f"leak_{name}": Value(rate) for name, rate in shares_outside(by_name(fake), self.real).items()}


def by_name(features: Features) -> dict[str, Tensor]:
    """Each attribute, [N]."""
    return dict(zip(ATTRIBUTES, features.pooled.unbind(1), strict=True))
