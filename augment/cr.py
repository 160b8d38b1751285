"""CR: consistency regularisation of the discriminator (arXiv:1910.12027)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.errors import unknown_name
from leangan.plugins import method
from leangan.plugins.method import DStep


def flip_and_translate(x: Tensor) -> Tensor:
    """Mirror x [N, C, H, W] left-right with probability 1/2, then shift each axis by whole pixels.

    Shifts are uniform in [-size // 8, size // 8]; what comes in from outside is the image's reflection.
    """
    n, channels, height, width = x.shape
    x = torch.where(torch.rand(n, 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)
    row, col = _shifted(n, height, x.device), _shifted(n, width, x.device)
    index = row[:, :, None] * width + col[:, None, :]
    return x.flatten(2).gather(2, index.view(n, 1, -1).expand(-1, channels, -1)).view(x.shape)


def identity(x: Tensor) -> Tensor:
    """x as it is."""
    return x


VIEWS = {"flip-translation": flip_and_translate, "none": identity}


class Method(method.Method):
    """Adds weight * E (D(T(x)) - D(view(x)))^2 over the reals x to D's loss; T is the run's transform.

    Args:
        weight: 10 in the paper.
        view: "flip-translation" as in the paper, or "none" for x itself, as DiffAugment combines it with a T
            of its own on few images (arXiv:2006.10738, sec. 4.2).
    """

    title = "CR"
    paper = "arXiv:1910.12027"
    constants = "paper"
    capturable = True
    neutral = {"weight": 0.0}

    def __init__(self, weight: float = 10.0, view: str = "flip-translation") -> None:
        super().__init__()
        if view not in VIEWS:
            raise unknown_name("view", view, VIEWS, "the method's `view`")
        self.weight = weight
        self.view = VIEWS[view]

    def d_loss(self, ctx: DStep) -> Tensor:
        d_view = ctx.D(self.view(ctx.x_real), ctx.c_real)
        return self.weight * (ctx.d_real - d_view).square().mean()


def _shifted(n: int, size: int, device: torch.device) -> Tensor:
    """Source index [N, size] of each pixel of a randomly shifted axis, reflected at the borders."""
    reach = size // 8
    source = torch.arange(size, device=device) + torch.randint(-reach, reach + 1, (n, 1), device=device)
    return (size - 1) - ((size - 1) - source.abs()).abs()
