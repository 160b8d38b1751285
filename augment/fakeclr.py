"""FakeCLR: D tells fakes of nearby latents from all other fakes, and G makes fakes that differ (arXiv:2207.08630)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from leangan.augment._contrast import ContrastMethod, Queue, without_the_other
from leangan.core.errors import unknown_name
from leangan.core.spec import RunSpec
from leangan.plugins.exclusion import copied_too_early
from leangan.plugins.method import DStep, Networks

RADIUS = 3.0
"""Up to which |z| the noise grows with it, per coordinate."""

FORGETTING: dict[str, Callable[[Queue], Tensor | float]] = {
    "released": lambda queue: 1.0,
    "published": lambda queue: torch.softmax(-queue.ages().to(queue.entries), dim=0),
    "none": lambda queue: 0.0,
}
"""What is added to the similarity of a query with each entry of the queue."""


class Method(ContrastMethod):
    """With C(a, b), the loss of `augment._contrast.Contrast` for two views a and b of each fake,

        D's loss += fake_weight * C(T(G(z)), T'(G(z + noise * min(|z|, 3) * eps)))
        G's loss += g_weight * C(T(G(z)), T'(G(z)))

    where T and T' are two draws of the run's transform, eps ~ N(0, 1), and all is taken for each coordinate of z: rare
    latents move further. It is InsGen without reals (augment/insgen.py describes features, copies and queue), but
    second views are in the queue, and its entries are weighted by their age: m_i is added to the similarity of entry i.

    Equations and constants are those of the authors' release (github.com/iceli1007/FakeCLR). Two things are this
    project's choice, after MoCo: no gradient passes second views in G's step, and the queue begins with random unit
    vectors. The paper sizes the queue by how diverse the fakes are. That is left out, and `queue` states the length.

    Args:
        fake_weight: 1.
        g_weight: 0.1.
        noise: 0.1.
        queue: length of the queue over the number of training images, which count twice if they are mirrored: 0.05, and
            at least one batch.
        temperature: 0.2.
        momentum: of the copies, 0.999.
        forgetting: "released": m_i = 1, since the release takes the softmax over a dimension of length 1.
            "published": m_i = softmax over the queue of the iterations in which entries came. A figure of the release
            shows this softmax. That m_i is added to the similarity is taken from the release's code. That iterations
            enter it as numbers without a scale is this project's reading. m_i then is below 1 / batch, and nearly 0
            for all but the last few batches.
            "none": m_i = 0.
    """

    title = "FakeCLR"
    paper = "arXiv:2207.08630"
    constants = "release, project"
    neutral = {"fake_weight": 0.0, "g_weight": 0.0}

    def __init__(
        self,
        fake_weight: float = 1.0,
        g_weight: float = 0.1,
        noise: float = 0.1,
        queue: float = 0.05,
        temperature: float = 0.2,
        momentum: float = 0.999,
        forgetting: str = "released",
    ) -> None:
        super().__init__(fake_weight, g_weight, noise, queue, temperature, momentum)
        if forgetting not in FORGETTING:
            raise unknown_name("forgetting", forgetting, FORGETTING, "the method's `forgetting`")
        self.forgetting = forgetting

    def prepare(self, networks: Networks) -> None:
        super().prepare(networks)
        self.fake.raised = FORGETTING[self.forgetting]

    def near(self, z: Tensor) -> Tensor:
        return z + self.noise * z.abs().clamp(max=RADIUS) * torch.randn_like(z)

    def d_loss(self, ctx: DStep) -> Tensor:
        query, key = self.fake_views(ctx)
        return self.fake_weight * self.fake.learn(query, key, entry=key)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return without_the_other(spec) or copied_too_early(spec, "fakeclr")
