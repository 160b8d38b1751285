"""Scale/shift: of a trained generator only the scale and shift of its normalisation learn on (arXiv:1904.01774)."""

from __future__ import annotations

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import random_start
from leangan.plugins.method import Networks


class Method(method.Method):
    """Freezes G but for the scales and shifts of the convolutions that StyleGAN2 normalises by demodulation.

    The original learns one scale and one shift per feature map of a generator with batch normalisation. Here the
    scales are the styles, which a dense layer (`affine`) makes of w, and the shifts are the biases. Which parameters
    arXiv:2006.10738, table 5, counts as such in StyleGAN2 is not published; this is the closest reading.
    """

    title = "Scale/shift"
    paper = "arXiv:1904.01774, arXiv:2006.10738"
    capturable = True
    neutral = {}
    needs = frozenset({"styled_layers"})

    def prepare(self, networks: Networks) -> None:
        networks.G.requires_grad_(False)
        for layer in networks.G.styled_layers():
            layer.affine.requires_grad_(True)
            layer.bias.requires_grad_(True)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return random_start(spec, "G")
