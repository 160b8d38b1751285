"""The Frechet distance without the bias of a finite number of fakes (arXiv:1911.07023): FID∞ with Inception, else FD∞.

The bias is inversely proportional to that number n: a line is fitted to the distances of random subsets of N/10 to N
fakes against 1/n, and its value at 1/n = 0 is the result. The law wants more fakes in the smallest subset than features
(20,480 fakes with Inception); with fewer, part of the bias stays.
"""

from __future__ import annotations

import numpy as np

from leangan.metrics.base import Family, Features, Value
from leangan.metrics.formulas import fid

POINTS = 15
SMALLEST_SHARE = 0.1
SEED = 2020


class Metric(fid.Metric):
    """An estimate, which may be below 0."""

    families = (
        Family(name="fid_inf", title="FID∞", place=40, extractors=("inception_v3",), log_axis=True),
        Family(name="clean_fid_inf", title="Clean-FID∞", place=50, extractors=("clean_inception",), log_axis=True),
        Family(name="fd_inf", title="FD∞", place=60, for_proxies=True, log_axis=True),
    )
    minimum = 20

    def __call__(self, fake: Features) -> dict[str, Value]:
        rng = np.random.RandomState(SEED)
        sizes = np.linspace(SMALLEST_SHARE * len(fake), len(fake), POINTS).astype(int)
        distances = [self.distance(fake.pooled[rng.permutation(len(fake))[:size]]) for size in sizes]
        _, at_infinity = np.polyfit(1 / sizes, distances, 1)
        return self.under_its_name(Value(float(at_infinity)), fake)
