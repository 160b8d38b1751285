"""AugSelf-GAN: D also predicts what DiffAugment drew, with opposite signs for reals and fakes (arXiv:2205.15677)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.augment.diffaugment import DRAWN, OPERATIONS, operations
from leangan.core.errors import check_names
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import ROLES, DStep, GStep, Networks
from leangan.plugins.notes import Notes

DIFFAUGMENT = "diffaugment"


def predicted(spec: RunSpec, predicts: str) -> dict[str, int]:
    """How many numbers each head predicts, for the operations of `predicts` that the run's DiffAugment has.

    An operation that its policy names twice draws twice as many.
    """
    policy = operations(dict(spec.plugins)[DIFFAUGMENT]["policy"])
    return {name: DRAWN[name] * policy.count(name) for name in operations(predicts) if name in policy}


def drawn(notes: Notes, name: str) -> Tensor:
    """What the operation `name` drew, [N, numbers], in all its calls: one for each time that the policy names it."""
    return torch.cat(notes[name], dim=1)


class Method(method.Method):
    """For each operation k of the run's DiffAugment, D has a head H_k. It predicts omega_k in [0, 1], what k drew:

        P_k(x) = H_k(phi(T(x)) - phi(x))
        d_loss = d_weight * sum_k (E |P_k(x) - omega_k|^2 + E |P_k(G(z)) + omega_k|^2)
        g_loss = g_weight * sum_k (E |P_k(G(z)) - omega_k|^2 - E |P_k(G(z)) + omega_k|^2)

    phi is D's last hidden layer, T is the run's transform, and |.|^2 is the mean of the squares over the numbers of an
    operation. Gradients pass through phi of both images. D must not become blind to T, and G is rewarded for
    images whose augmentation D reads as that of a real. H_k is a dense layer of the same kind as D's output: it has
    spectral normalisation in BigGAN and FastGAN.

    The numbers are brightness, saturation and contrast of `color`, the two shifts of `translation`, and the centre of
    `cutout`, each as a share of its range. Equations and constants are those of the authors' release
    (github.com/liang-hou/augself-gan). Its variant "+" for BigGAN, with stronger translation and cutout, is left out,
    because the strengths of DiffAugment are fixed here.

    Args:
        predicts: the operations that have a head, if DiffAugment's policy has them. The release has all three, but only
            color on the 100-shot sets and AnimalFace, where DiffAugment still has all three.
        d_weight: 1 in the release, 0.1 on Grumpy Cat and AnimalFace's cats.
        g_weight: 1 in the release for BigGAN on CIFAR and on the 100-shot sets, 0.2 for StyleGAN2 on FFHQ and LSUN Cat,
            0.1 on Grumpy Cat and AnimalFace's cats.
    """

    title = "AugSelf"
    paper = "arXiv:2205.15677"
    constants = "release"
    capturable = True
    compares_passes = True
    neutral = {"d_weight": 0.0, "g_weight": 0.0}

    def __init__(
        self, predicts: str = "color,translation,cutout", d_weight: float = 1.0, g_weight: float = 1.0
    ) -> None:
        super().__init__()
        check_names("operation", operations(predicts), OPERATIONS, "the method's `predicts`")
        self.predicts = predicts
        self.d_weight = d_weight
        self.g_weight = g_weight

    def prepare(self, networks: Networks) -> None:
        outputs = predicted(networks.spec, self.predicts)
        self.heads = nn.ModuleDict({name: networks.D.head(count) for name, count in outputs.items()})

    def d_loss(self, ctx: DStep) -> Tensor:
        real, fake = ctx.D.judge_both((ctx.x_real, ctx.c_real), (ctx.x_fake, ctx.c_fake))
        change = torch.cat([ctx.f_real - real.features, ctx.f_fake - fake.features])
        errors = []
        for name, head in self.heads.items():
            omega = torch.cat([drawn(ctx.drawn_real, name), -drawn(ctx.drawn_fake, name)])
            # The mean over as many reals as fakes is half the sum of their means.
            errors.append(2 * F.mse_loss(head(change), omega))
        return self.d_weight * torch.stack(errors).sum()

    def g_loss(self, ctx: GStep) -> Tensor:
        change = ctx.f_fake - ctx.D.features(ctx.x_fake)
        errors = []
        for name, head in self.heads.items():
            omega, prediction = drawn(ctx.drawn_fake, name), head(change)
            errors.append(F.mse_loss(prediction, omega) - F.mse_loss(prediction, -omega))
        return self.g_weight * torch.stack(errors).sum()

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with each operation of `predicts` once, in a fixed order: the order changes nothing."""
        named = operations(arguments["predicts"])
        check_names("operation", named, OPERATIONS, "the method's `predicts`")
        return {**arguments, "predicts": ",".join(name for name in OPERATIONS if name in named)}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        plugins = dict(spec.plugins)
        if DIFFAUGMENT not in plugins:
            return "it predicts what DiffAugment draws: compose it with `diffaugment`, as the entry `augself-ffhq` does"
        if set(plugins[DIFFAUGMENT]["roles"]) != set(ROLES):
            return "it predicts what DiffAugment draws for reals and fakes: leave out the `roles` of `diffaugment`"
        if not predicted(spec, predicts := plugins["augself"]["predicts"]):
            return f"its `predicts`, {predicts!r}, names no operation of DiffAugment's `policy`"
        return None
