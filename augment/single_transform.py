"""One transform of ADA's pipeline at a fixed strength, to see what it does alone (arXiv:2006.06676, fig. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.augment.pipeline.transforms import TRANSFORMS
from leangan.core.errors import unknown_name
from leangan.plugins import method
from leangan.plugins.method import Role

BY_NAME = {transform.__name__: transform for transform in TRANSFORMS}


class Method(method.Method):
    """Stochastic discriminator augmentation with one transform; whole categories are `augment/da.py`.

    Args:
        transform: a function of `augment.pipeline.transforms`, such as "scale" or "rotate90".
        p: its probability, in [0, 1].
    """

    title = "One transform"
    paper = "arXiv:2006.06676"
    constants = "project"
    capturable = True
    revision = 1
    p: Tensor

    def __init__(self, transform: str = "rotate90", p: float = 0.3) -> None:
        super().__init__()
        if transform not in BY_NAME:
            raise unknown_name("transform", transform, BY_NAME, "the method's `transform`")
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; a probability in [0, 1] is allowed: change the method's `p`")
        self.title = f"{transform}, p = {p:g}"
        self.change = BY_NAME[transform]
        self.register_buffer("p", torch.tensor(float(p)))

    def transform(self, x: Tensor, role: Role) -> Tensor:
        return self.change(x, self.p)
