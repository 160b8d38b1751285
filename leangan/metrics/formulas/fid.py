"""Frechet distance of two Gaussians fitted to features (arXiv:1706.08500): FID with Inception, else FD.

d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)

With S_2 = R'R, the eigenvalues of S_1 S_2 are those of the symmetric R S_1 R', which are found many times faster and
more exactly than those of the product itself, and R is found once for all snapshots. All in float64; torch-fidelity
and clean-fid average features in float32, which moves their number by some 1e-6 of itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.metrics import base
from leangan.metrics.base import Family, Features, Value

BLOCK = 262_144
"""Images whose features are taken to float64 at once: 4.3 GB with Inception, a sixth of all LSUN Cat's."""


def mean_of(pooled: Tensor) -> Tensor:
    """The mean [D] of features [N, D], float64."""
    return torch.stack([block.double().sum(0) for block in pooled.split(BLOCK)]).sum(0) / len(pooled)


def centred(pooled: Tensor, mean: Tensor, count: int) -> Tensor:
    """X [N, D], float64, with X'X what features [N, D] add to the unbiased covariance of `count` with this mean."""
    return pooled.to(torch.float64, copy=True).sub_(mean).div_((count - 1) ** 0.5)


def gram(x: Tensor) -> Tensor:
    """X'X [D, D]."""
    return x.T @ x


def covariance_of(pooled: Tensor, mean: Tensor) -> Tensor:
    """The unbiased covariance [D, D] of features [N, D] with this mean, float64."""
    return torch.stack([gram(centred(block, mean, len(pooled))) for block in pooled.split(BLOCK)]).sum(0)


def root_of_covariance(pooled: Tensor, mean: Tensor) -> Tensor:
    """R [r, D], float64, with R'R the unbiased covariance of features [N, D] and r no larger than either side."""
    if len(pooled) <= pooled.shape[1]:
        return centred(pooled, mean, len(pooled))
    values, vectors = torch.linalg.eigh(covariance_of(pooled, mean))
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


class Metric(base.Metric):
    """One number under the name that belongs to its extractor."""

    families = (
        Family(name="fid", title="FID", place=10, bounds=(0, None), extractors=("inception_v3",), log_axis=True),
        Family(
            name="clean_fid",
            title="Clean-FID",
            place=20,
            bounds=(0, None),
            extractors=("clean_inception",),
            log_axis=True,
        ),
        Family(name="fd", title="FD", place=30, bounds=(0, None), for_proxies=True, log_axis=True),
    )
    minimum = 2

    def __init__(self, real: Features):
        self.mean = mean_of(real.pooled)
        self.root = root_of_covariance(real.pooled, self.mean)
        self.variance = self.root.square().sum()

    def distance(self, pooled: Tensor) -> float:
        """d^2 between the reference and features [N, D]."""
        mean = mean_of(pooled)
        x = centred(pooled, mean, len(pooled))
        if len(x) < len(self.root):
            cross = x @ self.root.T
            product = cross @ cross.T
        else:
            product = self.root @ gram(x) @ self.root.T
        trace = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
        return float((mean - self.mean).square().sum() + self.variance + x.square().sum() - 2 * trace)

    def __call__(self, fake: Features) -> dict[str, Value]:
        return self.under_its_name(Value(self.distance(fake.pooled)), fake)
