"""AdvAug: D and G also learn from features that were moved along the gradient of D's logit (arXiv:2103.00397)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from leangan.core.errors import check_names
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import another_adversarial_loss, more_than_logits
from leangan.plugins.method import DStep, GStep
from leangan.plugins.pair import Discriminator, Generator

SIGNS = {"released": (1, 1, 1), "adversarial": (-1, 1, -1)}
"""Whether features move towards higher logits (1) or lower ones (-1): those of reals in D's step, those of fakes in D's
step, and those of fakes in G's step."""


class Method(method.Method):
    """The mean of the backbone's adversarial loss L and the same for logits of moved features:

        D's loss = (L(D(x), D(y)) + L(D_2(h(x) +- d_step s(x)), D_2(h(y) +- d_step s(y)))) / 2
        G's loss = (L(D(y)) + L(D(T(G_2(g(z) +- g_step s(z)))))) / 2

    h is D's last hidden layer, and D_2 is the rest of D. g(z) are the 4 x 4 maps that enter G's first block, and G_2 is
    the rest of G. s is the sign of the gradient of the logit by the features. This is one step of projected gradient
    descent, but without a projection, as in the authors' release
    (github.com/VITA-Group/Ultra-Data-Efficient-GAN-Training). Gradients pass through the features and not through s.
    Each of the two losses has weight 1/2, as in the release; the paper has 1 (eqs. 4 and 6). The paper's other half,
    lottery tickets, is left out.

    In BigGAN g is the first dense layer, as in the release. In StyleGAN2 it is the learned constant: the paper does not
    name the place, so this is the project's choice. G's step makes images three times from the same z: once for the
    usual loss, once to find s, and once from the moved maps. Each time draws its own noise, style mixing and T. The G
    of the release has neither noise nor style mixing, and the release does not augment the images from moved maps. All
    three passes enter the moving averages that G keeps.

    BigGAN's D makes a step of power iteration in each training pass. In D's step its output layer, and the embedding of
    labels, make four more: each call of `D.score` is one. In G's step all of its layers make two more.

    Args:
        d_step, g_step: the length of the step; 0 leaves the loss of that player as it is (fig. 7 has each alone). The
            paper has 0.01 on CIFAR, the default here, and 0.001 on ImageNet and Tiny-ImageNet (sec. 4).
        direction: "released", the default, moves all features to higher logits. This makes D's task harder with fakes
            and easier with reals, and it makes G's task easier. The release for BigGAN does not move D's features where
            the logit is above 1. "adversarial" moves features as the paper describes (eqs. 3 and 5): reals to lower
            and fakes to higher logits in D's step, and fakes to lower logits in G's step. This raises the loss of both
            players.
    """

    title = "AdvAug"
    paper = "arXiv:2103.00397"
    constants = "paper, release, project"
    capturable = True
    needs = frozenset({"g_blocks"})
    neutral = {"d_step": 0.0, "g_step": 0.0}

    def __init__(self, d_step: float = 0.01, g_step: float = 0.01, direction: str = "released") -> None:
        super().__init__()
        check_names("direction", [direction], SIGNS, "the method's `direction`")
        for name, step in (("d_step", d_step), ("g_step", g_step)):
            if step < 0:
                raise ValueError(f"{name} is {step}; 0 or more are allowed: change the method's `{name}`")
        self.d_step, self.g_step = d_step, g_step
        self.of_real, self.of_fake, self.in_g = SIGNS[direction]

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        if not self.d_step:
            return loss
        d_real = logits_of_moved(ctx.D, ctx.f_real, ctx.c_real, self.of_real * self.d_step)
        d_fake = logits_of_moved(ctx.D, ctx.f_fake, ctx.c_fake, self.of_fake * self.d_step)
        return (loss + ctx.criterion(d_real, d_fake)) / 2

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        if not self.g_step:
            return loss

        def logits(change: Callable[[Tensor], Tensor]) -> Tensor:
            with entering(ctx.G, change):
                x = ctx.G(ctx.z, ctx.c_fake)
            return ctx.D(ctx.transform(x, "fake_g"), ctx.c_fake)

        entered: list[Tensor] = []

        def leaf(maps: Tensor) -> Tensor:
            entered.append(maps.detach().requires_grad_())
            return entered[0]

        (slope,) = torch.autograd.grad(logits(leaf).sum(), entered)
        moved = logits(lambda maps: maps + self.in_g * self.g_step * slope.sign())
        return (loss + ctx.criterion(moved)) / 2

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if "pagan" in dict(spec.plugins):
            return "PA-GAN turns D's answers around after the layer whose features are moved"
        return another_adversarial_loss(spec, "advaug") or more_than_logits(spec)


def logits_of_moved(D: Discriminator, features: Tensor, c: Tensor | None, step: float) -> Tensor:
    """D's logits [N, 1] of `features` after a step along the sign of the logit's gradient."""
    at = features.detach().requires_grad_()
    (slope,) = torch.autograd.grad(D.score(at, c).sum(), at)
    return D.score(features + step * slope.sign(), c)


@contextmanager
def entering(G: Generator, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Changes the maps that enter G's first block, within the context."""

    def changed(block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        maps, *rest = inputs
        return (change(maps), *rest)

    handle = G.blocks[0].register_forward_pre_hook(changed)
    try:
        yield
    finally:
        handle.remove()
