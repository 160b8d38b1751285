"""FakeCLR: D tells fakes of nearby latents from all other fakes, and G makes fakes that differ (arXiv:2207.08630)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.augment._contrast import ContrastMethod, Queue, without_the_other
from leangan.core.errors import unknown_name
from leangan.core.spec import RunSpec
from leangan.plugins.exclusion import copied_too_early
from leangan.plugins.method import DStep, Networks

RADIUS = 3.0
"""The noise of a coordinate grows with its |z| up to this value (the release's training/contrastive_loss.py)."""

SOFTNESS = 0.01
"""The temperature of the softmax that weights entries (the release's training/contrastive_head_iteration.py)."""


def by_iteration(queue: Queue) -> Tensor:
    """Weights [size] that grow with the numbers a of the batches in which entries came: softmax(a / (SOFTNESS |a|))."""
    return torch.softmax(F.normalize(queue.arrived.to(queue.entries), dim=0) / SOFTNESS, dim=0)


FORGETTING: dict[str, Callable[[Queue], Tensor | float]] = {
    "released": lambda queue: 1.0,
    "published": by_iteration,
    "none": lambda queue: 0.0,
}
"""What is added to the similarity of a query with each entry of the queue."""


class Method(ContrastMethod):
    """With C(a, b), the loss of `augment._contrast.Contrast` for two views a and b of each fake,

        D's loss += fake_weight * C(T(G(z)), T'(G(z + noise * min(|z|, 3) * eps)))
        G's loss += g_weight * C(T(G(z)), T'(G(z)))

    T and T' are two draws of the run's transform, and eps ~ N(0, 1). The noise is computed for each coordinate of z, so
    rare latents move further. This is InsGen without its loss of reals, and augment/insgen.py describes features,
    copies and queue. Two things differ from InsGen. The queue takes the unit vectors k of second views. The loss adds
    m_i to the similarity of q with entry i of the queue, which depends on the age of the entry.

    Equations and constants are those of the authors' release (github.com/iceli1007/FakeCLR). It differs in the same two
    things as that of InsGen: in G's step its copy of D is one step newer, and its head has the rates of G's Adam. The
    paper sizes the queue by the diversity of the fakes. The release leaves this out, and so does this method: `queue`
    states the length.

    Args:
        fake_weight: 1.
        g_weight: 0.1.
        noise: 0.1.
        queue: length of the queue over the number of training images, 0.05. Images count twice if they are mirrored.
        temperature: 0.2.
        momentum: of the copies, 0.999.
        forgetting: what m_i is.
            "released": 1 for all entries. The release computes a softmax over a dimension of length 1.
            "published": m = softmax(a / (0.01 |a|)) over the queue, as the paper intends. a_i is the number of the
            batch with which entry i came. The release has this scale. It also divides a by its largest value, which
            cancels. Entries from before the first batch have a_i = 0, which is this project's choice. The a_i of a
            queue soon differ by small fractions of themselves. The weights of K entries then are all about 1 / K.
            "none": 0.
    """

    title = "FakeCLR"
    paper = "arXiv:2207.08630"
    constants = "release"
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
