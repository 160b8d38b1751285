"""Adaptive Feature Interpolation: D's outputs give way to mixes of neighbours, by how few dimensions they fill
(arXiv:2112.02450, ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Gamma

from leangan.core.ranks import drawing_alike, whole_batch_with_gradient
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import another_adversarial_loss
from leangan.plugins.method import DStep, GStep, Networks

TINY = 1e-12
SQUARINGS = 16


class Method(method.Method):
    """D gives a vector e of several outputs, an embedding of the image, and each output has a hinge loss:

        D's loss = E max(0, 1 - e'(x)) + E max(0, 1 + e'(y)),    G's loss = E max(0, -e'(y))

    with means over images, reals x or fakes y, and outputs. They take the place of the backbone's adversarial loss.
    For N images of one kind, e' is made of e in three steps.

    1. Their dimension r is the number of singular values, at least `threshold` of the largest, of the N vectors
       e_i / |e_i| after their mean is subtracted. Then k = N - r and p = (k - 1) / N.
    2. Image i has k neighbours j, itself included, by the distance d_ij = |e_i - e_j|. Shares w of them are drawn from
       a Dirichlet distribution with the concentrations 1 / (1 + d_ij / max d).
    3. With probability p, e'_i is the unit vector along sum_j w_j e_j, otherwise e_i.

    No gradient passes r, k, p and w. A G step uses the fakes of the step, a D step reals and fakes apart.

    Equations and constants are those of the authors' release
    (github.com/dzld00/Adaptive-Feature-Interpolation-for-Low-Shot-Image-Generation), which augments by ADA. It finds r
    by metric multidimensional scaling to N dimensions, whose exact solution are the centred vectors themselves; the
    singular values are the roots of the eigenvalues of classical scaling. N is the batch of one GPU there and the whole
    batch here.

    The release has all outputs in D's last layer. Here D's logit d is their mean, and a head h on D's last hidden layer
    has the rest: e = d + h - E h. So controllers and other methods go by the mean output, where ADA's r_t in the
    release goes by the sign of each. Weights of d begin as large as those of a single output. With labels the release's
    D has one output, of which a mix keeps the sign alone; here the label is in d. The release's R1 has the slope of the
    sum of all outputs: it is the backbone's regulariser times `outputs`^2.

    Args:
        outputs: 20.
        threshold: 0.1.
    """

    title = "AFI"
    paper = "arXiv:2112.02450"
    constants = "release"
    capturable = True
    neutral = {}
    interpolated: Tensor  # p of the last reals

    def __init__(self, outputs: int = 20, threshold: float = 0.1) -> None:
        super().__init__()
        if outputs < 2:
            raise ValueError(f"outputs is {outputs}; 2 or more are allowed: change the method's `outputs`")
        if not 0 < threshold <= 1:
            raise ValueError(
                f"threshold is {threshold}; 0 < threshold <= 1 is allowed: change the method's `threshold`"
            )
        self.outputs = outputs
        self.threshold = threshold
        self.register_buffer("interpolated", torch.tensor(0.0))

    def prepare(self, networks: Networks) -> None:
        self.head = networks.D.head(self.outputs)

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        real, p = self.embedding(ctx.f_real, ctx.d_real)
        fake, _ = self.embedding(ctx.f_fake, ctx.d_fake)
        self.interpolated.copy_(p)
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        fake, _ = self.embedding(ctx.f_fake, ctx.d_fake)
        return F.relu(-fake).mean()

    def embedding(self, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """e' [N, outputs] of the images of all ranks, from this rank's last hidden layer and logits; and p."""
        h = self.head(features)
        e = whole_batch_with_gradient(logits + h - h.mean(dim=1, keepdim=True))
        with torch.no_grad(), drawing_alike():
            k = len(e) - dimension(e, self.threshold)
            p = (k - 1) / len(e)
            shares, replaced = shares_of_neighbours(e, k), torch.rand(len(e), 1, device=e.device) < p
        return torch.where(replaced, F.normalize(shares @ e, dim=1), e), p

    def d_regularizer(
        self, loss: Tensor, t_real: Tensor, c_real: Tensor | None, penalty: Callable[[Tensor], Tensor]
    ) -> Tensor:
        return self.outputs**2 * loss

    def log(self) -> dict[str, float]:
        return {"interpolated": float(self.interpolated)}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        others = dict(spec.plugins)
        if "wgan_gp" in others:
            return "WGAN-GP has an adversarial loss of its own"
        if "pagan" in others:
            return "PA-GAN turns D's logit around, and not the other outputs"
        return another_adversarial_loss(spec, "afi")


def shares_of_neighbours(e: Tensor, k: Tensor) -> Tensor:
    """The shares [N, N] of each image's k nearest in the vectors e [N, outputs]; other images have none."""
    distance = torch.cdist(e, e, compute_mode="donot_use_mm_for_euclid_dist")
    concentration = 1 / (1 + distance / distance.max().clamp(min=TINY))
    near = distance.argsort(dim=1).argsort(dim=1) < k
    # Numbers of Gamma distributions, over their sum, are of a Dirichlet distribution.
    drawn = Gamma(concentration, torch.ones_like(concentration), validate_args=False).sample() * near
    return drawn / drawn.sum(dim=1, keepdim=True)


def dimension(e: Tensor, threshold: float) -> Tensor:
    """How many singular values of the centred unit vectors along e [N, K] are at least `threshold` of the largest.

    torch's own decompositions wait for the GPU, so that eigenvalues of the K x K matrix of products are counted: as
    many are above t as pivots of the matrix minus t are positive (Sylvester's law of inertia). 0 for equal vectors.
    """
    unit = F.normalize(e.double(), dim=1)
    centred = unit - unit.mean(dim=0)
    products = centred.T @ centred
    power = products / products.trace()
    for _ in range(SQUARINGS):  # towards the projection onto the eigenvectors of the largest eigenvalue
        power = power @ power
        power = power / power.trace()
    rest = products - threshold**2 * (products * power).sum() * torch.eye(len(products), device=e.device)
    pivots = []
    for column in range(len(products)):
        row = rest[column]
        pivots.append(row[column])
        rest = rest - torch.outer(row, row) / row[column]
    return (torch.stack(pivots) > 0).sum()
