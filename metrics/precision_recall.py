"""Improved precision and recall (arXiv:1904.06991), neighbourhood k = 3.

Precision: the share of fakes within the distance of some real to its third nearest real; recall: the
same with the roles exchanged.
"""

from __future__ import annotations

import torch
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from metrics.base import Features, Metric, Value

NEIGHBOURS = 3

MAX_REAL = 200_000
"""Reals beyond this number are left out, as in ADA's pr50k3_full."""

FULL_MATRIX_LIMIT = 10_000
"""Images up to which all distances are held at once (400 MB)."""


class PrecisionRecall(Metric):
    names = frozenset({"precision", "recall"})
    minimum = NEIGHBOURS + 1

    def __init__(self, real: Features):
        self.real = real.pooled
        if len(real) > MAX_REAL:
            # A random choice: prepared sets are often sorted by class.
            chosen = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:MAX_REAL]
            self.real = self.real[chosen]

    def __call__(self, fake: Features) -> dict[str, Value]:
        result = prc_features_to_metric(
            fake.pooled,
            self.real,
            prc_neighborhood=NEIGHBOURS,
            save_cpu_ram=max(len(fake), len(self.real)) > FULL_MATRIX_LIMIT,
            verbose=False,
        )
        return {
            "precision": Value(result[KEY_METRIC_PRECISION]),
            "recall": Value(result[KEY_METRIC_RECALL]),
        }
