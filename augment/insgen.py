"""InsGen: D also tells all instances apart, reals and fakes, and G makes fakes that differ (arXiv:2106.04566)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment._contrast import ContrastMethod, without_the_other
from leangan.core.spec import RunSpec
from leangan.plugins.exclusion import copied_too_early
from leangan.plugins.method import DStep, Networks


class Method(ContrastMethod):
    """With C(a, b), the loss of `augment._contrast.Contrast` for two views a and b of each image,

        D's loss += real_weight * C_real(T(x), T'(x)) + fake_weight * C_fake(T(G(z)), T'(G(z + noise * eps)))
        G's loss += g_weight * C_fake(T(G(z)), T'(G(z)))

    T and T' are two draws of the run's transform, and eps ~ N(0, 1). C_real and C_fake have a head and a queue each.
    Features are D's last maps, averaged over pixels. In StyleGAN2 these are the maps of 4 x 4 pixels, before the
    minibatch standard deviation. First views are the images of D's logits. They go through D and a head. Second views
    go through momentum copies of D and of the head, without gradient. G draws its noise and its style mixing anew for
    G(z + noise * eps).

    Heads learn in D's step, and queues move there. The queue of reals takes the unit vectors k of second views. The
    queue of fakes takes first views: D's features of them, mapped by the copy of the head. Queues begin with random
    unit vectors. The copy of a head moves whenever its loss is computed. For reals this is once an iteration, for fakes
    it is twice, in G's step and in D's.

    Equations and constants are those of the authors' release (github.com/genforce/insgen). Two things differ. The
    release moves the copy of D at the end of an iteration, after D's step; here it moves after the next G step, so that
    G's loss sees a copy that is one step older. The release trains the head of fakes with the rates of G's Adam; here
    D's Adam trains both heads.

    The published results use ADA. Without augmentation the two views of a real are the same.

    Args:
        real_weight, fake_weight: 1 each.
        g_weight: 0.1.
        noise: 0.15.
        queue: length of each queue over the number of training images, 0.05. Images count twice if they are mirrored.
        temperature: 0.2.
        momentum: of the copies, 0.999.

    Heads have as many hidden units as D has maps, which are 512 in the release, and 128 outputs.
    """

    title = "InsGen"
    paper = "arXiv:2106.04566"
    constants = "release"
    neutral = {"real_weight": 0.0, "fake_weight": 0.0, "g_weight": 0.0}

    def __init__(
        self,
        real_weight: float = 1.0,
        fake_weight: float = 1.0,
        g_weight: float = 0.1,
        noise: float = 0.15,
        queue: float = 0.05,
        temperature: float = 0.2,
        momentum: float = 0.999,
    ) -> None:
        super().__init__(fake_weight, g_weight, noise, queue, temperature, momentum)
        self.real_weight = real_weight

    def prepare(self, networks: Networks) -> None:
        super().prepare(networks)
        self.real = self.contrast(networks)

    def near(self, z: Tensor) -> Tensor:
        return z + self.noise * torch.randn_like(z)

    def d_loss(self, ctx: DStep) -> Tensor:
        with torch.no_grad():
            other_view = ctx.transform(ctx.x_real, "real")
        query, key = self.d_features(ctx.D, ctx.t_real), self.key_features(ctx.D, other_view, ctx.c_real)
        real = self.real.learn(query, key, entry=key)
        query, key = self.fake_views(ctx)
        fake = self.fake.learn(query, key, entry=query)
        return self.real_weight * real + self.fake_weight * fake

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return without_the_other(spec) or copied_too_early(spec, "insgen")
