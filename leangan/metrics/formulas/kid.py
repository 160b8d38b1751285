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

from leangan.metrics import base
from leangan.metrics.base import Family, Features, Value

SUBSETS = 100
MAX_SUBSET_SIZE = 1000
SEED = 2020

GRAM_LIMIT = 5000
"""Images up to which all pairs of kernel values are kept at once (200 MB in float64)."""


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3 for all pairs: [N, D], [M, D] -> float64 [N, M]; float32 products, as published."""
    return (x @ y.T / x.shape[1] + 1).pow(3).double()


def draw_subsets(n_fake: int, n_real: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The images in each random subset, int64 [SUBSETS, size] of the fakes and of the reals: alike on all devices."""
    rng = np.random.RandomState(SEED)
    pairs = [[rng.choice(count, size, replace=False) for count in (n_fake, n_real)] for _ in range(SUBSETS)]
    fake, real = torch.from_numpy(np.array(pairs)).to(device).unbind(1)
    return fake, real


def membership(subsets: Tensor, count: int) -> Tensor:
    """Which of `count` images are in each of the subsets, float64 [SUBSETS, count], ones and zeros."""
    return torch.zeros(len(subsets), count, dtype=torch.float64, device=subsets.device).scatter_(1, subsets, 1)


def pair_means(gram: Tensor, subsets: Tensor) -> Tensor:
    """Mean kernel value over the pairs of different images in each subset, [SUBSETS]."""
    size = subsets[0].sum()
    return (((subsets @ gram) * subsets).sum(1) - subsets @ gram.diagonal()) / (size * (size - 1))


def subset_distances(fake: Tensor, real: Tensor, size: int) -> Tensor:
    """The value of each subset, [SUBSETS], from its own kernel values alone; fakes [N, D], reals [M, D]."""
    everyone, values = torch.ones(1, size, dtype=torch.float64, device=fake.device), []
    for fakes, reals in zip(*draw_subsets(len(fake), len(real), size, fake.device), strict=True):
        x, y = fake[fakes], real[reals]
        within = pair_means(cubic_kernel(x, x), everyone) + pair_means(cubic_kernel(y, y), everyone)
        values.append(within - 2 * cubic_kernel(x, y).mean())
    return torch.cat(values)


class Metric(base.Metric):
    """The number of torch-fidelity: on a CPU by its code, which computes nowhere else, on a GPU by ours.

    Small sets take a shortcut, because a subset of 1000 out of 1000 fakes has the same kernel values 100 times over.
    With all of them at hand, a subset's sum is a product with its membership vector: some tenths of a second in place
    of several seconds.
    """

    families = (
        Family(name="kid", title="KID ×10³", place=70, scale=1e3, extractors=("inception_v3",)),
        Family(name="clean_kid", title="Clean-KID ×10³", place=80, scale=1e3, extractors=("clean_inception",)),
        Family(name="kd", title="KD ×10³", place=90, scale=1e3, for_proxies=True),
    )
    minimum = 2

    def __init__(self, real: Features):
        self.real = real.pooled
        self.real_gram = cubic_kernel(self.real, self.real) if len(real) <= GRAM_LIMIT else None

    def __call__(self, fake: Features) -> dict[str, Value]:
        size = min(MAX_SUBSET_SIZE, len(fake), len(self.real))
        if self.real_gram is not None and len(fake) <= GRAM_LIMIT:
            squared = self.from_grams(self.real_gram, fake.pooled, size)
        elif self.real.device.type == "cpu":
            result = kid_features_to_metric(
                fake.pooled,
                self.real,
                kid_subsets=SUBSETS,
                kid_subset_size=size,
                rng_seed=SEED,
                verbose=False,
            )
            value = Value(result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD], "subsets")
            return self.under_its_name(value, fake)
        else:
            squared = subset_distances(fake.pooled, self.real, size)
        value = Value(float(squared.mean()), float(squared.std(correction=0)), "subsets")
        return self.under_its_name(value, fake)

    def from_grams(self, real_gram: Tensor, fake: Tensor, size: int) -> Tensor:
        """The value of each subset, [SUBSETS], from all kernel values of fakes [N, D] and reals."""
        drawn = draw_subsets(len(fake), len(self.real), size, fake.device)
        in_fake, in_real = (membership(subsets, len(x)) for subsets, x in zip(drawn, (fake, self.real), strict=True))
        cross = ((in_fake @ cubic_kernel(fake, self.real)) * in_real).sum(1) / size**2
        return pair_means(cubic_kernel(fake, fake), in_fake) + pair_means(real_gram, in_real) - 2 * cross
