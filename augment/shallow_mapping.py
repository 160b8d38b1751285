"""Shallow mapping: a mapping network of few layers (arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

from typing import Any

from augment import base
from augment.base import Networks
from augment.exclusion import other_backbone

LAYERS = 2  # in the paper
PRESET_LAYERS = 8  # where a preset does not say


class Method(base.Method):
    """Keeps the first `layers` dense layers from z to w of G's mapping network and drops the others.

    Args:
        layers: 2 in the paper, in place of StyleGAN2's 8.
    """

    title = "Shallow mapping"
    paper = "arXiv:2006.06676"

    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; 1 or more are allowed: change the method's `layers`")
        self.layers = layers

    def prepare(self, networks: Networks) -> None:
        mapping = networks.G.mapping
        mapping.layers = mapping.layers[: self.layers]

    @classmethod
    def skip(cls, spec: dict[str, Any]) -> str | None:
        if reason := other_backbone(spec, "mapping network"):
            return reason
        kept = dict(spec.get("plugins", ())).get("shallow_mapping", {}).get("layers", LAYERS)
        layers = spec.get("hyper", {}).get("mapping_layers", PRESET_LAYERS)
        return None if kept < layers else f"the preset's mapping network has {layers} layers, of which {kept} are kept"
