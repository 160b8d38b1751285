"""LeCam: D's logits are held near averages of their own (arXiv:2104.03310)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.ranks import mean_over_ranks
from leangan.plugins import method
from leangan.plugins.method import DStep


class Method(method.Method):
    """Adds to D's loss

        weight * (E relu(D(real) - a_fake)^2 + E relu(a_real - D(fake))^2)

    with the anchors a_real and a_fake, moving averages of D's logits of either kind over D steps, this one included:
    a <- decay * a + (1 - decay) * E D, corrected for their start at 0 as Adam corrects its own.

    Eq. 4 of the paper is without relu. The authors' release (github.com/google/lecam-gan), which gave the published
    numbers, has it against instability in early training, where fakes may be rated above reals (their answer in
    issue 1).

    Args:
        weight: depends on the loss, since logits under the hinge loss of BigGAN stay small. The release has 0.3 for
            BigGAN on CIFAR, 1e-6 for StyleGAN2 on CIFAR-10 and 3e-7 for StyleGAN2 on FFHQ at 256 px, the default.
        decay: 0.99 in the paper and for StyleGAN2 in the release, 0.9 for BigGAN, where the release begins after 1000
            of 250,000 G steps.
    """

    title = "LeCam"
    paper = "arXiv:2104.03310"
    constants = "paper, release"
    capturable = True
    quick = {"weight": 0.3}
    neutral = {"weight": 0.0}
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

    def d_loss(self, ctx: DStep) -> Tensor:
        a_real, a_fake = self.move_anchors(ctx.d_real.detach(), ctx.d_fake.detach())
        return self.weight * (F.relu(ctx.d_real - a_fake).square().mean() + F.relu(a_real - ctx.d_fake).square().mean())

    def move_anchors(self, d_real: Tensor, d_fake: Tensor) -> Tensor:
        """The anchors [2] with the logits of one more D step."""
        means = mean_over_ranks(torch.stack([d_real.mean(), d_fake.mean()]).to(self.anchors))
        self.steps += 1
        return self.anchors.lerp_(means, (1 - self.decay) / (1 - self.decay**self.steps))

    def log(self) -> dict[str, float]:
        a_real, a_fake = self.anchors.tolist()
        return {"anchor_real": a_real, "anchor_fake": a_fake}
