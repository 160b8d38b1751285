"""APA: adaptive pseudo augmentation, which deceives D with generated images (arXiv:2111.06849)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins.controller import ControlledMethod, Controller


class Method(ControlledMethod):
    """Each real that D learns from is replaced by a generated image with probability p.

    p follows D's overfitting by the controller of ADA, from lambda_r = E[sign(D(x))] over what D takes for reals,
    logged as r_t: 0 at first, up where lambda_r lies above the target and down where below, every 4 D steps, by as
    much as crosses 0 -> 1 in 500 thousand images.

    The generated images are the fakes of the same D step: in expectation the loss is that of fresh ones. The authors'
    release (github.com/EndlessSora/DeceiveD) takes those of the last G step; its constants are the defaults here.

    Args:
        target: 0.6 in most of the paper, 0.8 for its anime portraits; fewer images may want less.
        interval, tune_kimg, p: see `plugins.controller.Controller`.
    """

    title = "APA"
    paper = "arXiv:2111.06849"
    constants = "paper, release"
    capturable = True

    def __init__(self, target: float = 0.6, interval: int = 4, tune_kimg: float = 500, p: float = 0.0) -> None:
        super().__init__()
        self.controller = Controller(target, interval, tune_kimg, p)

    def mix(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        deceived = torch.rand(len(x_real), 1, 1, 1, device=x_real.device) < self.controller.p
        return torch.where(deceived, x_fake, x_real)

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return "generated images would carry the labels of the reals they replace" if spec.conditional else None
