"""A training step only queues work: the host reads nothing back from the device, and no other device is mixed in.

Shown on torch's meta device, whose tensors have no contents: reading one raises, and so does computing with a tensor
of the CPU beside it. tests/training/test_capture.py has every method that can be captured.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from leangan.augment import none
from leangan.core.spec import RunSpec
from leangan.plugins.precision import half_precision
from leangan.training.reals import Reals
from leangan.training.trainer import Trainer
from tests.helpers.every_method import runs

META = torch.device("meta")
BATCH = 4
INTERVAL = 4  # D steps from one adjustment of a controller to the next


@pytest.fixture
def on_meta(monkeypatch):
    """Adam as it is on this device, which has no fused one."""
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, fused, **kwargs: adam(*args, **kwargs))


def train(spec: RunSpec) -> None:
    """A step of G and as many of D as a controller waits for, with all regularisers and a held-out batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 3, spec.resolution, spec.resolution), dtype=np.uint8)
    labels = rng.integers(0, 2, len(images)) if spec.conditional else None
    data = Reals(images, labels, 2, list(range(16)), list(range(16, 24)), spec.hyper["mirror"], 0, META)
    steps = Trainer(dataclasses.replace(spec, hyper={**spec.hyper, "batch": BATCH}), data, META)
    steps.g_step(0, iteration=0)
    steps.validate(0, iteration=0)
    for iteration in range(INTERVAL):
        steps.d_step(iteration * BATCH, iteration)


SIXTEEN_BITS = {"half_resolutions": 2, "half_type": "float16"}


@pytest.mark.parametrize(
    "name, changes",
    [
        ("stylegan2-relativistic", {}),
        ("stylegan2-ada", {"conditional": True}),
        ("stylegan2-ada", {"hyper": {**SIXTEEN_BITS, "conv_clamp": 256}}),
        ("biggan-diffaugment", {"conditional": True}),
        ("biggan-diffaugment", {"hyper": SIXTEEN_BITS}),
        ("biggan-diffaugment", {"hyper": {**SIXTEEN_BITS, "attention_at": 16, "eval_statistics": "running"}}),
    ],
)
def test_a_step_reads_nothing_back(on_meta, name, changes):
    spec = runs()[name]
    changes = {name: {**spec.hyper, **value} if name == "hyper" else value for name, value in changes.items()}
    with half_precision(torch.float16):
        train(dataclasses.replace(spec, **changes))


@pytest.mark.parametrize(
    "fault",
    [lambda x: x * float(x.detach().mean()), lambda x: x * torch.ones(x.shape), lambda x: x[x.mean((1, 2, 3)) > 0]],
)
def test_a_fault_would_show(on_meta, monkeypatch, fault):
    monkeypatch.setattr(none.Method, "transform", lambda self, x, role: fault(x))
    with pytest.raises((RuntimeError, NotImplementedError)):
        train(runs()["stylegan2-none"])
