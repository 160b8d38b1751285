"""WGAN-GP: a discriminator of slope 1 between reals and fakes (arXiv:1704.00028)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import DStep


class Method(method.Method):
    """Adds the gradient penalty and the drift term to D's Wasserstein loss E D(fake) - E D(real):

        weight / target_norm^2 * E (|grad_x D(T(x))| - target_norm)^2 + drift * E D(real)^2

    over x = u x_real + (1 - u) x_fake, u ~ U(0, 1) per image, with the labels of the reals; T is the run's transform.
    Computed in every D step.

    The loss itself and what WGAN-GP does without are the preset's: the entry wgan-gp of config/methods.yaml sets the
    Wasserstein loss, both learning rates to 0.001, and no R1, path length, 16-bit arithmetic or limits on feature
    maps, as in the comparison of arXiv:2006.06676, sec. 4.1. One D step per G step, as there.

    Args:
        weight: 10, arXiv:1704.00028, sec. 4.
        target_norm: 1, there as well.
        drift: 0.001, arXiv:1710.10196, appendix A.1; keeps D's logits near 0, which the loss leaves free.
    """

    title = "WGAN-GP"
    paper = "arXiv:1704.00028"
    constants = "paper"
    capturable = True
    neutral = {"weight": 0.0, "drift": 0.0}

    def __init__(self, weight: float = 10.0, target_norm: float = 1.0, drift: float = 0.001) -> None:
        super().__init__()
        if target_norm <= 0:
            raise ValueError(f"target_norm is {target_norm}; it must be positive: change the method's `target_norm`")
        self.weight = weight
        self.target_norm = target_norm
        self.drift = drift

    def d_loss(self, ctx: DStep) -> Tensor:
        u = torch.rand(len(ctx.x_real), 1, 1, 1, dtype=ctx.x_real.dtype, device=ctx.x_real.device)
        x = ctx.x_fake.lerp(ctx.x_real, u).detach().requires_grad_()
        d_mixed = ctx.D(ctx.transform(x, "real"), ctx.c_real)
        (grad,) = torch.autograd.grad(d_mixed.sum(), x, create_graph=True)
        slope = torch.linalg.vector_norm(grad, dim=(1, 2, 3)) / self.target_norm
        return self.weight * (slope - 1).square().mean() + self.drift * ctx.d_real.square().mean()

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        loss = spec.hyper.get("adversarial_loss")
        return None if loss == "wasserstein" else "it needs the preset key adversarial_loss: wasserstein; see wgan-gp"
