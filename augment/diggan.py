"""DigGAN: the norms of D's gradient at reals and at fakes are kept close (arXiv:2211.14694)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.ranks import world_size
from leangan.plugins import method
from leangan.plugins.method import DStep


class Method(method.Method):
    """Adds the gap between the norms of D's gradients at reals x and fakes y, both as D sees them, to D's loss:

        weight * E (|grad_x D(x)| - |grad_y D(y)|)^2

    over pairs of a real and a fake. With few images the two drift apart as D overfits.

    Equation and weights are those of the authors' release (github.com/AilsaF/DigGAN). It also mixes each norm half
    and half with earlier ones from the same place in the batch, an average over unlike images that is left out here:
    there the same weight moves D half as much or less.

    Args:
        weight: the release has, for BigGAN on 100, 20 and 10 % of CIFAR, 1000, 5000 and 10000, and 10, 250 and 1000
            with DiffAugment; 1000 on CUB-200 and Tiny ImageNet. Its weight for StyleGAN2 is not published.
        interval: D steps from one evaluation to the next, without a factor that makes up for the others; the release
            takes the first D step of an iteration, 4 with BigGAN on CIFAR.
    """

    title = "DigGAN"
    paper = "arXiv:2211.14694"
    constants = "release"
    neutral = {"weight": 0.0}
    # Else the position of a step decides what it computes.
    capturable = property(lambda self: self.interval == 1)  # type: ignore[assignment]

    def __init__(self, weight: float = 1000.0, interval: int = 1) -> None:
        super().__init__()
        if interval < 1:
            raise ValueError(f"interval is {interval}; 1 or more D steps are allowed: change the method's `interval`")
        self.weight = weight
        self.interval = interval

    def d_loss(self, ctx: DStep) -> Tensor | float:
        step = ctx.cur_nimg // (len(ctx.t_real) * world_size())
        if step % self.interval:
            return 0.0
        real, fake = slope(ctx.D, ctx.t_real, ctx.c_real), slope(ctx.D, ctx.t_fake, ctx.c_fake)
        return self.weight * (real - fake).square().mean()


def slope(D: torch.nn.Module, x: Tensor, c: Tensor | None) -> Tensor:
    """|grad_x D(x, c)| of each image x [N, C, H, W], as [N]."""
    x = x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(D(x, c).sum(), x, create_graph=True)
    return torch.linalg.vector_norm(grad, dim=(1, 2, 3))
