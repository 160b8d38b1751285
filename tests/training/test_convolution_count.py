"""The number of convolutions in a training step does not depend on the number of feature maps.

torch differentiates a depthwise convolution twice with one convolution per feature map. Every loss that contains a
gradient is counted here in networks of two widths, on the meta device, whose tensors have no contents.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from leangan.training.reals import Reals
from leangan.training.trainer import Trainer

META = torch.device("meta")
CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default)


class Convolutions(TorchDispatchMode):
    """Counts calls of convolutions, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in CONVOLUTIONS
        return func(*args, **(kwargs or {}))


@pytest.fixture
def count(make_spec, monkeypatch):
    """A function (method, widest layer, preset keys) -> convolutions in a step of G and in one of D."""
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, fused, **kwargs: adam(*args, **kwargs))

    def counted(method: str, width: int, keys: dict) -> Counter:
        hyper = {"batch": 4, "fmap_base": 8 * width, "fmap_max": width, **keys}
        spec = dataclasses.replace(make_spec(method, hyper=hyper), images=16)
        images = np.zeros((24, 3, spec.resolution, spec.resolution), dtype=np.uint8)
        steps = Trainer(spec, Reals(images, None, 0, list(range(16)), list(range(16, 24)), False, 0, META), META)
        found = Counter()
        for name in ("g_step", "d_step"):
            with Convolutions() as convolutions:
                getattr(steps, name)(0, iteration=0)
            found[name] = convolutions.count
        return found

    return counted


@pytest.mark.parametrize(
    "method, keys",
    [
        ("none", {"r1_interval": 16}),
        ("none", {"r1_interval": 1, "r1_at": "augmented"}),
        ("ada", {"r1_interval": 1}),
        ("none", {"pl_weight": 2.0, "pl_interval": 1, "d_architecture": "orig"}),
        ("none", {"pl_weight": 2.0, "pl_interval": 4}),
        ("wgan-gp", {}),
        ("diggan", {}),
        ("relativistic", {}),
    ],
)
def test_convolutions_do_not_multiply_with_feature_maps(count, method, keys):
    narrow, wide = count(method, 8, keys), count(method, 32, keys)
    assert min(narrow.values()) > 10
    assert narrow == wide


def test_a_fault_would_show(count, monkeypatch):
    """The low-pass as a depthwise convolution that torch differentiates by itself."""
    from leangan.models.stylegan2 import low_pass

    monkeypatch.setattr(low_pass, "linear", lambda x, forward, adjoint: forward(x))
    monkeypatch.setattr(low_pass, "mean_correlate", low_pass.depthwise_correlate)
    monkeypatch.setattr(low_pass, "mean_scatter", low_pass.depthwise_scatter)
    assert count("none", 32, {})["d_step"] >= count("none", 8, {})["d_step"] + 24
