"""Leaks of augmentations, measured on images of one coloured shape (arXiv:2006.06676, sec. 2.2 and fig. 3).

The features of an image are the attributes that leangan/metrics/shape_attributes.py measures; a leak rate is the share
of fakes whose attribute lies outside the range that it has among the reals. Needs a set such as
leangan/data/readers/procedural.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leangan.core.errors import ConfigError
from leangan.metrics.base import SHAPE_ATTRIBUTES, Features, Metric, Value
from leangan.metrics.shape_attributes import ATTRIBUTES, attributes, shares_outside


class ShapeAttributes(nn.Module):
    """uint8 [N, 3, H, W] -> (attributes float32 [N, 3] in the order of ATTRIBUTES,)."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        measured = attributes(images.float() / 127.5 - 1)
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
