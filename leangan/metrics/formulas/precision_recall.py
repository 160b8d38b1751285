"""Improved precision and recall (arXiv:1904.06991), neighbourhood k = 3.

Precision: the share of fakes within the distance of some real to its third nearest real; recall: the
same with the roles exchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from leangan.metrics import base
from leangan.metrics.base import Family, Features, Value

NEIGHBOURS = 3

MAX_REAL = 200_000
"""Reals beyond this number are left out, as in ADA's pr50k3_full."""

FULL_MATRIX_LIMIT = 10_000
"""Images up to which a CPU holds all distances at once (400 MB)."""

CHUNK = 1024
"""Images of which a GPU holds the distances to all others at once: 0.8 GB with 200,000 others."""


def radii(x: Tensor) -> Tensor:
    """The distance of each of x [N, D] to its third nearest other, [N]."""
    return torch.cat([torch.cdist(chunk, x).kthvalue(NEIGHBOURS + 1).values for chunk in x.split(CHUNK)])


def share_within(x: Tensor, centres: Tensor, radii: Tensor) -> float:
    """The share of x [N, D] that is within the radius [M] of at least one of the centres [M, D]."""
    inside = [(torch.cdist(chunk, centres) <= radii).any(1) for chunk in x.split(CHUNK)]
    return float(torch.cat(inside).double().mean())


class Metric(base.Metric):
    """The numbers of torch-fidelity: on a CPU by its code, which ranks distances nowhere else, on a GPU by ours."""

    families = (
        Family(name="precision", title="Precision", place=120, higher_is_better=True, digits=3, bounds=(0, 1)),
        Family(name="recall", title="Recall", place=130, higher_is_better=True, digits=3, bounds=(0, 1)),
    )
    minimum = 4  # NEIGHBOURS and the image itself

    def __init__(self, real: Features):
        self.real = real.pooled
        if len(real) > MAX_REAL:
            # A random choice: prepared sets are often sorted by class.
            chosen = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:MAX_REAL]
            self.real = self.real[chosen]
        self.real_radii = None if self.real.device.type == "cpu" else radii(self.real)

    def __call__(self, fake: Features) -> dict[str, Value]:
        if self.real_radii is not None:
            precision = share_within(fake.pooled, self.real, self.real_radii)
            recall = share_within(self.real, fake.pooled, radii(fake.pooled))
            return {"precision": Value(precision), "recall": Value(recall)}
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
