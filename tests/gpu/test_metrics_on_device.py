"""Every metric gives on the device the number that it gives on the CPU."""

from __future__ import annotations

import pytest
import torch

from leangan.metrics.base import Features
from leangan.plugins import registry

REALS, FAKES, CLASSES = 1500, 1300, 10

SHARES = {"precision", "recall", "copying"}
"""Parts of all images: one whose distance lies on the border of a radius may fall on either side of it."""


def features(count: int, seed: int, size: int, device: torch.device) -> Features:
    """Random features [count, size], fakes (seed 1) a little beside the reals, and logits."""
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(count, size, generator=generator) / 3 + 0.1 * seed
    logits = torch.randn(count, CLASSES, generator=generator)
    return Features(pooled.to(device), logits.to(device), torch.arange(200))


@pytest.mark.parametrize("metric", registry.names("metric"))
def test_the_device_gives_the_number_of_the_cpu(device, measured, metric):
    """KID of large sets, precision and recall are torch-fidelity's code on the CPU and the suite's on a GPU."""
    size = 3 if metric == "leak" else 16  # leak's three are attributes of shapes
    places, of = (torch.device("cpu"), device), registry.require("metric", metric, "here")
    expected, found = (of(features(REALS, 0, size, at))(features(FAKES, 1, size, at)) for at in places)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        measured(f"{name}: {value.value:.9g} on the CPU, {found[name].value:.9g} on the device")
        border = 2 / FAKES if name in SHARES else 1e-7
        assert found[name].value == pytest.approx(value.value, rel=1e-4, abs=border)
