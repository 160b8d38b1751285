"""zCR: latent consistency regularisation (arXiv:2002.04724)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.plugins import method
from leangan.plugins.method import DStep, GStep


class Method(method.Method):
    """Makes D's logits insensitive to a small step in the latent space, and G's images sensitive to it.

    With z' = z + N(0, noise^2),

        D's loss += d_weight * E (D(T(G(z))) - D(T(G(z'))))^2
        G's loss -= g_weight * E (G(z) - G(z'))^2, the mean over pixels

    z' is drawn anew in each step; T is the run's transform, drawn for each image, and so are G's own random numbers.

    The constants are those of the comparison in arXiv:2006.06676, sec. 4.1, which trains in 32 bits without limits on
    feature maps: the entry zcr of config/methods.yaml sets the preset so.

    Args:
        noise: standard deviation of z' - z, 0.1.
        d_weight: 0.2.
        g_weight: 0.02.
    """

    title = "zCR"
    paper = "arXiv:2002.04724"
    constants = "paper"
    capturable = True
    neutral = {"d_weight": 0.0, "g_weight": 0.0}

    def __init__(self, noise: float = 0.1, d_weight: float = 0.2, g_weight: float = 0.02) -> None:
        super().__init__()
        self.noise = noise
        self.d_weight = d_weight
        self.g_weight = g_weight

    def d_loss(self, ctx: DStep) -> Tensor:
        with torch.no_grad():
            x = ctx.G(self._near(ctx.z), ctx.c_fake)
        d_near = ctx.D(ctx.transform(x, "fake_d"), ctx.c_fake)
        return self.d_weight * (ctx.d_fake - d_near).square().mean()

    def g_loss(self, ctx: GStep) -> Tensor:
        x = ctx.G(self._near(ctx.z), ctx.c_fake)
        return -self.g_weight * (ctx.x_fake - x).square().mean()

    def _near(self, z: Tensor) -> Tensor:
        return z + self.noise * torch.randn_like(z)
