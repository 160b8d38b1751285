"""Freeze-D: D's lowest layers keep the weights that training starts from (arXiv:2002.10964)."""

from __future__ import annotations

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import random_start
from leangan.plugins.method import Networks


class Method(method.Method):
    """Freezes the first `layers` layers of D, counted from the image: of StyleGAN2 FromRGB, then two convolutions and
    the skip of each block, then the 4 x 4 convolution, the dense layer and the output. Layers of the label are never
    frozen.

    Args:
        layers: 10 was best at 256 x 256 in arXiv:2006.06676, fig. 9; that of AFHQ Cat at 512 x 512 has 13.
    """

    title = "Freeze-D"
    paper = "arXiv:2002.10964, arXiv:2006.06676"
    constants = "paper"
    capturable = True
    quick = {"layers": 4}
    neutral = {"layers": 0}
    needs = frozenset({"d_layers"})

    def __init__(self, layers: int = 10) -> None:
        super().__init__()
        if layers < 0:
            raise ValueError(f"layers is {layers}; 0 or more are allowed: change the method's `layers`")
        self.layers = layers

    def prepare(self, networks: Networks) -> None:
        layers = networks.D.layers()
        if self.layers >= len(layers):
            raise ConfigError(
                f"layers is {self.layers}, but D at {networks.D.resolution} px has {len(layers)}, of which the last "
                f"has to learn: change freeze_d's `layers` in config/methods.yaml to {len(layers) - 1} at most"
            )
        for layer in layers[: self.layers]:
            layer.requires_grad_(False)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return random_start(spec, "D")
