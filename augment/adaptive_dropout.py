"""Adaptive dropout: noise on D's features, as strong as its overfitting asks for (arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins.controller import ControlledMethod, Controller
from leangan.plugins.exclusion import image_augmentation
from leangan.plugins.method import Networks
from leangan.plugins.pair import add_before_bias
from leangan.plugins.precision import cast


class Method(ControlledMethod):
    """Multiplies what each layer of D gives, before bias and activation, by log-normal noise per sample and map:

        y_nk <- y_nk * exp(p * e_nk),    e_nk ~ N(0, 1)

    The layers are FromRGB, all convolutions, skips and the hidden dense layer; not the output, nor the label's
    embedding. r_t steers the strength p as it does in ADA.

    Args:
        target: 0.6 in the paper.
        interval, tune_kimg: see `plugins.controller`.
        p: initial strength, the standard deviation of the noise's logarithm.
    """

    title = "Adaptive dropout"
    paper = "arXiv:2006.06676"
    constants = "paper"
    capturable = True
    needs = frozenset({"d_layers", "before_bias"})
    redraws = True
    revision = 1

    def __init__(self, target: float = 0.6, interval: int = 4, tune_kimg: float = 500, p: float = 0.0) -> None:
        super().__init__()
        self.controller = Controller(target=target, interval=interval, tune_kimg=tune_kimg, p=p)

    def prepare(self, networks: Networks) -> None:
        for layer in networks.D.layers()[:-1]:
            add_before_bias(layer, self.noisy)

    def noisy(self, y: Tensor) -> Tensor:
        """y [N, K, ...] times one number per sample and map."""
        noise = (torch.randn(*y.shape[:2], device=y.device) * self.controller.p).exp()
        return y * cast(noise, y.dtype).view(*y.shape[:2], *[1] * (y.ndim - 2))

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return image_augmentation(spec, "noisy features")
