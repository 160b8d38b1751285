"""Exponential moving average of the generator's weights, with the published half-life, ramp and delayed start."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn.utils.parametrize import ParametrizationList

from leangan.plugins.pair import Generator

POWER_ITERATIONS = 200
"""Steps in which spectral norms find the singular vectors of the average: one for each batch of 50 among the 10,000
images of BigGAN's published FIDs, whose G stays in training mode (arXiv:2006.10738)."""


class Ema:
    """Averages G's parameters into `self.module`; buffers are copied. Call `settle` before making images with it.

    half_life_kimg: thousands of images after which an old weight counts half (beta = 0.5^(batch / half-life)).
    ramp: the half-life is at most `ramp` x images shown so far (0.05 in ADA's small configurations), None for no ramp.
    start_kimg: until then the average is a plain copy of G (1000 in DiffAugment's CIFAR configuration).
    """

    def __init__(self, G: Generator, half_life_kimg: float, ramp: float | None, start_kimg: float) -> None:
        self.module = copy.deepcopy(G).eval().requires_grad_(False)
        self.half_life_kimg = half_life_kimg
        self.ramp = ramp
        self.start_kimg = start_kimg

    def beta(self, cur_nimg: int, batch: int) -> float:
        """The weight of the old average in the step that ends at `cur_nimg` images."""
        if cur_nimg < self.start_kimg * 1000:
            return 0.0
        half_life_nimg = self.half_life_kimg * 1000
        if self.ramp is not None:
            half_life_nimg = min(half_life_nimg, cur_nimg * self.ramp)
        return 0.5 ** (batch / max(half_life_nimg, 1e-8))

    @torch.no_grad()
    def update(self, G: Generator, cur_nimg: int, batch: int) -> None:
        """Move the average towards G after the G step of the iteration that started at `cur_nimg`."""
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(G.parameters())
        torch._foreach_lerp_(averages, weights, 1 - self.beta(cur_nimg, batch))
        if buffers := list(G.buffers()):
            torch._foreach_copy_(list(self.module.buffers()), buffers)

    @torch.no_grad()
    def settle(self) -> None:
        """Let the spectral norms divide the averaged weights by their own largest singular value.

        The vectors that `update` copied are those of G's weights, and give a smaller value: too large a weight.
        """
        for layer in self.module.modules():
            if isinstance(layer, ParametrizationList):
                layer.train()
                for _ in range(POWER_ITERATIONS):
                    layer()
                layer.eval()
