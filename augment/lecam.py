"""LeCam: D's logits are held near averages of their own (arXiv:2104.03310)."""

from __future__ import annotations

import torch
from torch import Tensor

from augment import base
from augment.base import StepContext
from models.ranks import mean_over_ranks


class Method(base.Method):
    """Adds to D's loss

        weight * (E (D(real) - a_fake)^2 + E (D(fake) - a_real)^2)

    with the anchors a_real and a_fake, moving averages of D's logits of either kind over past D steps:
    a <- decay * a + (1 - decay) * E D. Anchors begin at 0, near the logits of an untrained D, and are plain means
    until 1 / (1 - decay) steps have passed, so that the beginning leaves no trace; the paper says nothing about it.

    Args:
        weight: depends on the loss, since logits under the hinge loss of BigGAN stay small. The authors published
            0.3 for BigGAN on CIFAR, 1e-6 for StyleGAN2 on CIFAR-10 and 3e-7 for StyleGAN2 on FFHQ at 256 px,
            the default (scripts of github.com/google/lecam-gan).
        decay: 0.99 in the paper.
    """

    title = "LeCam"
    paper = "arXiv:2104.03310"
    anchors: Tensor  # a_real, a_fake
    steps: Tensor

    def __init__(self, weight: float = 3e-7, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; 0 <= decay < 1 is allowed: change the method's `decay`")
        self.weight = weight
        self.decay = decay
        self.register_buffer("anchors", torch.zeros(2))
        self.register_buffer("steps", torch.tensor(0))

    def d_loss(self, ctx: StepContext) -> Tensor:
        a_real, a_fake = self.anchors
        return self.weight * ((ctx.d_real - a_fake).square().mean() + (ctx.d_fake - a_real).square().mean())

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        means = mean_over_ranks(torch.stack([d_real.mean(), d_fake.mean()]).to(self.anchors))
        self.steps += 1
        self.anchors.lerp_(means, (1 / self.steps).clamp(min=1 - self.decay))

    def log(self) -> dict[str, float]:
        a_real, a_fake = self.anchors.tolist()
        return {"anchor_real": a_real, "anchor_fake": a_fake}
