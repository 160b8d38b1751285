"""Kernel distance (arXiv:1801.01401): KID with Inception features, else KD.

The unbiased squared maximum mean discrepancy under the cubic kernel k(x, y) = (x.y / D + 1)^3, averaged
over 100 random subsets of at most 1000 images from either side. Subsets are drawn with
RandomState(2020), torch-fidelity's default; clean-fid draws other ones each time. Papers print the value times
1000; here it is not scaled.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from metrics.base import Features, Metric, Value

SUBSETS = 100
MAX_SUBSET_SIZE = 1000
SEED = 2020

GRAM_LIMIT = 5000
"""Images up to which all pairs of kernel values are kept at once (200 MB in float64)."""


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3 for all pairs: [N, D], [M, D] -> float64 [N, M]; float32 products, as published."""
    return (x @ y.T / x.shape[1] + 1).pow(3).double()


def draw_subsets(n_fake: int, n_real: int, size: int) -> tuple[Tensor, Tensor]:
    """Membership of the random subsets, float64 [SUBSETS, n_fake] and [SUBSETS, n_real], ones and zeros."""
    rng = np.random.RandomState(SEED)
    fake, real = torch.zeros(SUBSETS, n_fake).double(), torch.zeros(SUBSETS, n_real).double()
    for i in range(SUBSETS):
        fake[i, rng.choice(n_fake, size, replace=False)] = 1
        real[i, rng.choice(n_real, size, replace=False)] = 1
    return fake, real


def pair_means(gram: Tensor, subsets: Tensor) -> Tensor:
    """Mean kernel value over the pairs of different images in each subset, [SUBSETS]."""
    size = subsets[0].sum()
    return (((subsets @ gram) * subsets).sum(1) - subsets @ gram.diagonal()) / (size * (size - 1))


class KernelDistance(Metric):
    """The number of torch-fidelity; small sets take a shortcut, because a subset of 1000 out of 1000
    fakes has the same kernel values 100 times over. With all of them at hand, a subset's sum is a
    product with its membership vector: some tenths of a second in place of several seconds.
    """

    names = frozenset({"kid", "kd", "clean_kid"})
    minimum = 2

    def __init__(self, real: Features):
        self.real = real.pooled
        self.real_gram = cubic_kernel(self.real, self.real) if len(real) <= GRAM_LIMIT else None

    def __call__(self, fake: Features) -> dict[str, Value]:
        size = min(MAX_SUBSET_SIZE, len(fake), len(self.real))
        if self.real_gram is None or len(fake) > GRAM_LIMIT:
            result = kid_features_to_metric(
                fake.pooled,
                self.real,
                kid_subsets=SUBSETS,
                kid_subset_size=size,
                rng_seed=SEED,
                verbose=False,
            )
            mean, deviation = result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD]
        else:
            in_fake, in_real = draw_subsets(len(fake), len(self.real), size)
            cross = ((in_fake @ cubic_kernel(fake.pooled, self.real)) * in_real).sum(1) / size**2
            squared = (
                pair_means(cubic_kernel(fake.pooled, fake.pooled), in_fake)
                + pair_means(self.real_gram, in_real)
                - 2 * cross
            )
            mean, deviation = float(squared.mean()), float(squared.std(correction=0))
        return dict.fromkeys(self.names, Value(mean, deviation, "subsets"))
