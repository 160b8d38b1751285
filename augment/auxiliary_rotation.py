"""Auxiliary rotation: D also tells by which quarter turn an image was rotated (arXiv:1811.11212)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import DStep, GStep, Networks, Role, Step

TURNS = 4


def rotated(x: Tensor) -> Tensor:
    """Square images [N, C, H, H] -> [4N, C, H, H]: all of them turned by 0, then all by 90, 180, 270 degrees."""
    return torch.cat([x.rot90(turn, dims=(2, 3)) for turn in range(TURNS)])


class Method(method.Method):
    """Beside the logit, D's last layer gives 4 values, the logits of the turn r, with cross-entropy as loss (eq. 3):

        d_loss += d_weight * E_r[-log Q_D(r | x_r)] over reals,    g_loss += g_weight * the same over fakes

    where x_r, an image turned by r and then transformed as the run does, is given at all four turns. What the turns
    of reals teach D cannot be learned by telling real from fake, and G is rewarded for images that show their turn.

    Args:
        g_weight, d_weight: 10 and 5 in arXiv:2006.06676, fig. 8a.
    """

    title = "Auxiliary rotation"
    paper = "arXiv:1811.11212, arXiv:2006.06676"
    constants = "paper"
    capturable = True
    neutral = {"g_weight": 0.0, "d_weight": 0.0}

    def __init__(self, g_weight: float = 10.0, d_weight: float = 5.0) -> None:
        super().__init__()
        self.g_weight = g_weight
        self.d_weight = d_weight

    def prepare(self, networks: Networks) -> None:
        # Rows of a dense layer learn independently, so these four stand beside that of the logit.
        self.output = networks.D.head(TURNS)

    def d_loss(self, ctx: DStep) -> Tensor:
        return self.d_weight * self.turn_loss(ctx, ctx.x_real, "real")

    def g_loss(self, ctx: GStep) -> Tensor:
        return self.g_weight * self.turn_loss(ctx, ctx.x_fake, "fake_g")

    def turn_loss(self, ctx: Step, x: Tensor, role: Role) -> Tensor:
        """Mean cross-entropy of the turns of images x [N, C, H, H]."""
        logits = self.output(ctx.D.features(ctx.transform(rotated(x), role)))
        turns = torch.arange(TURNS, device=x.device).repeat_interleave(len(x))
        return F.cross_entropy(logits, turns)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if spec.conditional:
            return "auxiliary rotation is defined without class labels (arXiv:2006.06676, fig. 8a)"
        return None
