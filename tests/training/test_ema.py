"""The average of the generator's weights against its closed form."""

import pytest
import torch
from torch import nn

from leangan.training.ema import Ema


class Scalar(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value], dtype=torch.float64))
        self.register_buffer("w_avg", torch.tensor([value]))


def test_an_old_weight_counts_half_after_one_half_life():
    ema, G = Ema(Scalar(1.0), half_life_kimg=3.2, ramp=None, start_kimg=0), Scalar(0.0)
    for nimg in range(0, 3200, 32):
        ema.update(G, nimg, 32)
    assert ema.module.weight.item() == pytest.approx(0.5, rel=1e-9)


def test_the_ramp_limits_the_half_life_to_a_share_of_the_images_shown():
    ema = Ema(Scalar(1.0), half_life_kimg=500, ramp=0.05, start_kimg=0)
    assert ema.beta(1000, 64) == pytest.approx(0.5 ** (64 / 50))
    assert ema.beta(100_000_000, 64) == pytest.approx(0.5 ** (64 / 500_000))
    assert ema.beta(0, 64) == 0


def test_before_its_start_the_average_is_a_copy_and_buffers_always_are():
    ema, G = Ema(Scalar(1.0), half_life_kimg=1000, ramp=None, start_kimg=1000), Scalar(0.25)
    ema.update(G, 999_968, 32)
    assert ema.module.weight.item() == 0.25 and ema.module.w_avg.item() == 0.25
    G = Scalar(0.75)
    ema.update(G, 1_000_000, 32)
    assert ema.module.weight.item() == pytest.approx(0.25 + 0.5 * (1 - 0.5 ** (32 / 1e6)))
    assert ema.module.w_avg.item() == 0.75
