"""DA: the augmentation pipeline at a fixed strength (arXiv:2006.06676, sec. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline import Pipeline
from leangan.plugins import method
from leangan.plugins.method import Role


class Method(method.Method):
    """Stochastic discriminator augmentation with constant probability.

    The best p depends on the data: the less data, the larger (sec. 2.3 of the paper). The default 0.3 is
    this project's choice, a moderate strength well below p = 0.8, from where augmentations may leak into
    the generated images (sec. 2.2). `augment/ada.py` finds p by itself.

    Args:
        p: probability of each transform, in [0, 1].
        categories: which transforms, see `augment.pipeline.Pipeline`.
    """

    title = "DA"
    paper = "arXiv:2006.06676"
    constants = "project"
    capturable = True
    revision = 1
    p: Tensor

    def __init__(self, p: float = 0.3, categories: str = "bgc") -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; a probability in [0, 1] is allowed: change the method's `p`")
        self.pipeline = Pipeline(categories)
        self.register_buffer("p", torch.tensor(float(p)))

    def transform(self, x: Tensor, role: Role) -> Tensor:
        return self.pipeline(x, self.p)
