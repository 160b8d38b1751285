"""The loss of R3GAN: D compares each real with a fake, and its slope is held at both (arXiv:2501.05441)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.controller import ControlledMethod
from leangan.plugins.method import DStep, GStep
from leangan.plugins.registry import load


class Method(method.Method):
    """Takes the place of the backbone's adversarial loss. For pairs of a real x and a fake y = G(z),

        D's loss = E softplus(D(T(y)) - D(T(x))) + gamma / 2 * (E |grad_x D(T(x))|^2 + E |grad_y D(T(y))|^2)
        G's loss = E softplus(D(T(x)) - D(T(y)))

    where T is the run's transform (RpGAN + R1 + R2: sec. 2, eqs. 2 and 3; G's loss is the non-saturating form, as in
    the authors' release). Both penalties are part of every D step: the paper found lazy ones worse (appendix E).

    gamma falls from `gamma` to `final_gamma` along half a cosine over the burn-in of `burn_in_kimg`. The constants
    are those of the paper's own networks, whose other settings this method does not bring along.

    Only differences between logits count, and their level is free. The methods that read the sign of a logit have no
    meaning here; the paper augments with a p that is set beforehand.

    Args:
        gamma, final_gamma, burn_in_kimg: 0.05, 0.005 and 20,000 for CIFAR-10, 150, 15 and 20,000 for FFHQ at 256 px
            (table 9).
    """

    title = "RpGAN + R1 + R2"
    paper = "arXiv:2501.05441"
    constants = "paper"
    neutral = {}

    def __init__(self, gamma: float = 0.05, final_gamma: float = 0.005, burn_in_kimg: float = 20_000) -> None:
        super().__init__()
        self.gamma = gamma
        self.final_gamma = final_gamma
        self.burn_in_nimg = burn_in_kimg * 1000

    def gamma_at(self, cur_nimg: int) -> float:
        """gamma after `cur_nimg` images."""
        done = min(cur_nimg / self.burn_in_nimg, 1.0) if self.burn_in_nimg else 1.0
        return self.final_gamma + (self.gamma - self.final_gamma) * (1 + math.cos(math.pi * done)) / 2

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        x_real, x_fake = (x.detach().requires_grad_() for x in (ctx.x_real, ctx.x_fake))
        d_real = ctx.D(ctx.transform(x_real, "real"), ctx.c_real)
        d_fake = ctx.D(ctx.transform(x_fake, "fake_d"), ctx.c_fake)
        slopes = torch.autograd.grad(d_real.sum() + d_fake.sum(), (x_real, x_fake), create_graph=True)
        r1, r2 = (slope.square().sum(dim=(1, 2, 3)).mean() for slope in slopes)
        return F.softplus(d_fake - d_real).mean() + self.gamma_at(ctx.cur_nimg) / 2 * (r1 + r2)

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        x_real, c_real = ctx.reals()
        d_real = ctx.D(ctx.transform(x_real, "real"), c_real)
        return F.softplus(d_real - ctx.d_fake).mean()

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if spec.conditional:
            return "the paper compares images of one class; labels of fakes are drawn apart from those of the reals"
        if spec.hyper.get("r1_gamma"):
            return "it brings R1 along: set the preset key r1_gamma to 0, as the entry `relativistic` does"
        for name, args in spec.plugins:
            plugin = load("method", name)
            if name == "wgan_gp":
                return "WGAN-GP has an adversarial loss of its own"
            # Among the methods with a controller, only ADA has a choice of heuristic.
            controlled = isinstance(plugin, type) and issubclass(plugin, ControlledMethod)
            if controlled and args.get("heuristic", "rt") == "rt":
                return (
                    f"{name!r} goes by the sign of D's logits, whose level this loss leaves free; see da, ada-linear "
                    "or ada-rv"
                )
        return None
