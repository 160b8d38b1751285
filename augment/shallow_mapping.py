"""Shallow mapping: a mapping network of few layers (arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import Networks


class Method(method.Method):
    """Keeps the first `layers` dense layers from z to w of G's mapping network and drops the others.

    Args:
        layers: 2 in the paper, in place of StyleGAN2's 8.
    """

    title = "Shallow mapping"
    paper = "arXiv:2006.06676"
    constants = "paper"
    capturable = True
    quick = {"layers": 1}
    neutral = {}
    needs = frozenset({"mapping"})

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; 1 or more are allowed: change the method's `layers`")
        self.layers = layers

    def prepare(self, networks: Networks) -> None:
        mapping = networks.G.mapping
        mapping.layers = mapping.layers[: self.layers]

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        kept, layers = dict(spec.plugins)["shallow_mapping"]["layers"], spec.hyper["mapping_layers"]
        return None if kept < layers else f"the preset's mapping network has {layers} layers, of which {kept} are kept"
