"""Frechet distance of two Gaussians fitted to features (arXiv:1706.08500): FID with Inception, else FD.

d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)

With S_2 = R'R, the eigenvalues of S_1 S_2 are those of the symmetric R S_1 R', which are found many times faster and
more exactly than those of the product itself, and R is found once for all snapshots. All in float64; torch-fidelity
and clean-fid average features in float32, which moves their number by some 1e-6 of itself.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metrics.base import Features, Metric, Value

POINTS = 15
SMALLEST_SHARE = 0.1
SEED = 2020


def centred(pooled: Tensor) -> tuple[Tensor, Tensor]:
    """(mean [D], X [N, D]) of features, float64, with X'X their unbiased covariance."""
    pooled = pooled.double()
    mean = pooled.mean(0)
    return mean, (pooled - mean) / (len(pooled) - 1) ** 0.5


def root_of_covariance(x: Tensor) -> Tensor:
    """R [r, D] with R'R = X'X and r no larger than either side of X."""
    if len(x) <= x.shape[1]:
        return x
    values, vectors = torch.linalg.eigh(x.T @ x)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


class FrechetDistance(Metric):
    names = frozenset({"fid", "fd", "clean_fid"})
    minimum = 2

    def __init__(self, real: Features):
        self.mean, x = centred(real.pooled)
        self.root = root_of_covariance(x)
        self.variance = self.root.square().sum()

    def distance(self, pooled: Tensor) -> float:
        """d^2 between the reference and features [N, D]."""
        mean, x = centred(pooled)
        if len(x) < len(self.root):
            cross = x @ self.root.T
            product = cross @ cross.T
        else:
            product = self.root @ (x.T @ x) @ self.root.T
        trace = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
        return float((mean - self.mean).square().sum() + self.variance + x.square().sum() - 2 * trace)

    def __call__(self, fake: Features) -> dict[str, Value]:
        return dict.fromkeys(self.names, Value(self.distance(fake.pooled)))


class FrechetInfinity(FrechetDistance):
    """The distance without the bias of a finite number of fakes (arXiv:1911.07023).

    The bias is inversely proportional to that number n: a line is fitted to the distances of random subsets of
    N/10 to N fakes against 1/n, and its value at 1/n = 0 is the result. The law wants more fakes in the smallest
    subset than features (20,480 fakes with Inception); with fewer, part of the bias stays.
    """

    names = frozenset({"fid_inf", "fd_inf", "clean_fid_inf"})
    minimum = 20

    def __call__(self, fake: Features) -> dict[str, Value]:
        rng = np.random.RandomState(SEED)
        sizes = np.linspace(SMALLEST_SHARE * len(fake), len(fake), POINTS).astype(int)
        distances = [self.distance(fake.pooled[rng.permutation(len(fake))[:size]]) for size in sizes]
        _, at_infinity = np.polyfit(1 / sizes, distances, 1)
        return dict.fromkeys(self.names, Value(float(at_infinity)))
