"""bCR: balanced consistency regularisation of the discriminator (arXiv:2002.04724)."""

from __future__ import annotations

from torch import Tensor

from leangan.augment.pipeline.laws import REACH
from leangan.augment.pipeline.transforms import translate_whole
from leangan.plugins import method
from leangan.plugins.method import DStep


class Method(method.Method):
    """Adds to D's loss what D makes of a small shift of the images it has just seen:

        real_weight * E (D(t) - D(view(t)))^2 over t = T(x), x real
        + fake_weight * E (D(t) - D(view(t)))^2 over t = T(G(z))

    T is the run's transform and t one draw of it, so that D is not asked to overlook what T does. The view shifts
    each axis by U(-reach, reach) of the size, rounded to pixels, with the image's reflection outside. Computed in
    every D step, and no part of G's loss.

    The constants and the view are those of the comparison in arXiv:2006.06676, sec. 4.1.

    Args:
        real_weight, fake_weight: 10 each.
        reach: 1/32. At 16 pixels and below this rounds to no shift at all.
    """

    title = "bCR"
    paper = "arXiv:2002.04724"
    constants = "paper"
    capturable = True
    quick = {"reach": 1 / 8}
    neutral = {"real_weight": 0.0, "fake_weight": 0.0}
    revision = 1

    def __init__(self, real_weight: float = 10.0, fake_weight: float = 10.0, reach: float = 1 / 32) -> None:
        super().__init__()
        self.real_weight = real_weight
        self.fake_weight = fake_weight
        self.strength = reach / REACH

    def d_loss(self, ctx: DStep) -> Tensor:
        d_real = ctx.D(self._view(ctx.t_real), ctx.c_real)
        d_fake = ctx.D(self._view(ctx.t_fake), ctx.c_fake)
        real, fake = ((a - b).square().mean() for a, b in ((ctx.d_real, d_real), (ctx.d_fake, d_fake)))
        return self.real_weight * real + self.fake_weight * fake

    def _view(self, x: Tensor) -> Tensor:
        return translate_whole(x, strength=self.strength)
