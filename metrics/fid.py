"""Frechet distance of two Gaussians fitted to features (arXiv:1706.08500): FID with Inception, else FD.

d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)
"""

from __future__ import annotations

from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from metrics.base import Features, Metric, Value


class FrechetDistance(Metric):
    names = frozenset({"fid", "fd"})
    minimum = 2

    def __init__(self, real: Features):
        self.real = fid_features_to_statistics(real.pooled)

    def __call__(self, fake: Features) -> dict[str, Value]:
        result = fid_statistics_to_metric(fid_features_to_statistics(fake.pooled), self.real, verbose=False)
        return dict.fromkeys(self.names, Value(result[KEY_METRIC_FID]))
