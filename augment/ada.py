"""ADA: adaptive discriminator augmentation (arXiv:2006.06676, sec. 3)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from leangan.augment.pipeline import Pipeline
from leangan.core.errors import unknown_name
from leangan.plugins.controller import ControlledMethod, Controller, LinearController, ValidationController
from leangan.plugins.method import Role

HEURISTICS: dict[str, type[Controller]] = {"rt": Controller, "rv": ValidationController, "linear": LinearController}

WITHOUT_FEEDBACK = {"tune_kimg": 500.0, "p": 0.0}
"""What stands for the arguments that have no effect with the heuristic linear."""


def controller_of(heuristic: str) -> type[Controller]:
    """The class of controller for `heuristic`. Raises ConfigError, which lists the known ones, for an unknown name."""
    if heuristic not in HEURISTICS:
        raise unknown_name("heuristic", heuristic, HEURISTICS, "the method's `heuristic`")
    return HEURISTICS[heuristic]


class Method(ControlledMethod):
    """The augmentation pipeline at a strength p that a controller steers by D's overfitting.

    With the heuristic linear, ADA-Linear, p rises from 0 to the target over the run, without feedback. The release of
    InsGen (arXiv:2106.04566) brought it and recommends it below 5,000 training images.

    Args:
        categories: which transforms, see `augment.pipeline.Pipeline`.
        heuristic: rt, from the signs of the training images' logits, rv, which needs held-out images, or linear.
        target, interval, tune_kimg: see `plugins.controller`. The default target is the published one of the
            heuristic: 0.6 for rt and, as p at the end, for linear, 0.5 for rv. tune_kimg has no effect with linear.
        p: initial strength, without effect with linear.
    """

    title = "ADA"
    paper = "arXiv:2006.06676"
    constants = "paper"
    capturable = True
    revision = 1

    def __init__(
        self,
        categories: str = "bgc",
        heuristic: str = "rt",
        target: float | None = None,
        interval: int = 4,
        tune_kimg: float = 500,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        controller = controller_of(heuristic)
        if heuristic == "rv":
            self.title, self.needs_validation = "ADA (r_v)", True
        if heuristic == "linear":
            self.title = "ADA-Linear"
        self.pipeline = Pipeline(categories)
        target = controller.published_target if target is None else target
        self.controller = controller(target, interval, tune_kimg, p)

    def transform(self, x: Tensor, role: Role) -> Tensor:
        return self.pipeline(x, self.controller.p)

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the heuristic's published target if none is given, and in one form if some are unused."""
        controller = controller_of(arguments["heuristic"])
        if arguments["target"] is None:
            arguments = {**arguments, "target": controller.published_target}
        return {**arguments, **WITHOUT_FEEDBACK} if controller is LinearController else arguments
