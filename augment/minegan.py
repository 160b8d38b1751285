"""MineGAN: a learned map of the latent finds the images of a trained generator that suit (arXiv:1912.05270)."""

from __future__ import annotations

from torch import Tensor, nn

from leangan.core.spec import RunSpec
from leangan.models.stylegan2.layers import Linear
from leangan.plugins import method
from leangan.plugins.exclusion import random_start
from leangan.plugins.method import Networks

MINER = "mapping.miner."  # its tensors in G


class Method(method.Method):
    """Puts a small network M, the miner, between z and G, which then shows G(M(z)).

    The paper trains in two stages: M and D with G fixed (`freeze_g`), then all three. Each is a run, the second one
    a `transfer` from the first one's checkpoint with `freeze_g: false`. StyleGAN2 divides its latent by the root mean
    square, so that M reaches the latents G knows from any start. Depth of M and length of the stages in
    arXiv:2006.10738, table 5, are not published. The authors' release (github.com/yaxingwang/MineGAN) has, for StyleGAN
    and StyleGAN2, a further miner of the first feature maps, which is left out here, and 100 iterations as the first
    stage of StyleGAN.

    Args:
        freeze_g: whether only M and D learn.
        layers: dense layers of M, all but the last with leaky ReLU; 2 in the authors' release, with a plain ReLU.
    """

    title = "MineGAN"
    paper = "arXiv:1912.05270, arXiv:2006.10738"
    constants = "release"
    capturable = True
    neutral = {}
    needs = frozenset({"mapping"})

    def __init__(self, freeze_g: bool = True, layers: int = 2) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; 1 or more are allowed: change the method's `layers`")
        self.freeze_g = freeze_g
        self.layers = layers

    def prepare(self, networks: Networks) -> None:
        G = networks.G
        if self.freeze_g:
            G.requires_grad_(False)
        depth = range(1, self.layers + 1)
        G.mapping.miner = nn.Sequential(*[Linear(G.z_dim, G.z_dim, activate=i < self.layers) for i in depth])
        G.mapping.register_forward_pre_hook(mine)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return random_start(spec, "G")


def mine(mapping: nn.Module, inputs: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """The mapping's inputs (z, c) as (M(z), c)."""
    z, c = inputs
    return mapping.get_submodule("miner")(z), c
