"""ADA: adaptive discriminator augmentation (arXiv:2006.06676, sec. 3)."""

from __future__ import annotations

from torch import Tensor

from augment import base
from augment.base import Role
from augment.controller import Controller
from augment.pipeline import Pipeline


class Method(base.Method):
    """The augmentation pipeline at a strength p that the controller steers by the r_t heuristic.

    Args:
        categories: which transforms, see `augment.pipeline.Pipeline`.
        target, interval, tune_kimg: see `augment.controller.Controller`.
        p: initial strength.
    """

    title = "ADA"
    paper = "arXiv:2006.06676"

    def __init__(
        self,
        categories: str = "bgc",
        target: float = 0.6,
        interval: int = 4,
        tune_kimg: float = 500,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        self.pipeline = Pipeline(categories)
        self.controller = Controller(target, interval, tune_kimg, p)

    def transform(self, x: Tensor, role: Role) -> Tensor:
        return self.pipeline(x, self.controller.p)

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        self.controller.observe(d_real)

    def log(self) -> dict[str, float]:
        return self.controller.log()
