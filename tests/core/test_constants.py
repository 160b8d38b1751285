"""Tensors made once: the same object again, and made in inference mode they still serve training."""

from __future__ import annotations

import pytest
import torch

from leangan.augment.pipeline import wavelet
from leangan.core.constants import constant
from leangan.models.stylegan2 import low_pass

CPU = torch.device("cpu")


def test_a_constant_is_made_once_for_each_set_of_arguments():
    made = []

    @constant
    def ramp(size: int) -> torch.Tensor:
        """A ramp."""
        made.append(size)
        return torch.arange(size)

    assert ramp(3) is ramp(3) and ramp(4).tolist() == [0, 1, 2, 3]
    assert made == [3, 4] and ramp.__doc__ == "A ramp."


@pytest.mark.parametrize(
    "make, arguments",
    [
        (low_pass.depthwise_fir, (2, 1.0, torch.float32, CPU)),
        (wavelet.doubling, (8, torch.float32, CPU)),
        (wavelet.halving, (8, torch.float32, CPU)),
        (wavelet.octave_matrices, (8, torch.float32, CPU)),
    ],
)
def test_a_filter_made_in_inference_mode_serves_training(make, arguments):
    make.cache_clear()
    with torch.inference_mode():
        make(*arguments)
    weight = make(*arguments)
    x = torch.ones_like(weight).requires_grad_()
    (weight * x).sum().backward()
    torch.testing.assert_close(x.grad, weight)
