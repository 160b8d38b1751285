"""How much the pipeline asks of a GPU, counted on the meta device, whose tensors have no contents."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.calls import META, Calls
from leangan.augment.pipeline import Pipeline


def images(size: int) -> torch.Tensor:
    return torch.rand(16, 3, size, size, device=META, requires_grad=True)


@pytest.mark.parametrize("size", [32, 256])
@pytest.mark.parametrize("categories, forward, backward", [("bgc", 110, 40), ("bgcfnc", 140, 45)])
def test_calls_are_few(categories, forward, backward, size):
    pipeline, p, x = Pipeline(categories), torch.full((), 0.5, device=META), images(size)
    pipeline(x, p)  # makes the constants
    with Calls() as there:
        loss = pipeline(x, p).sum()
    with Calls() as back:
        torch.autograd.grad(loss, x)
    assert 0.8 * forward < there.cost.calls < forward
    assert back.cost.calls < backward


def test_the_number_of_calls_does_not_depend_on_channels_in_a_second_derivative():
    counts = []
    for channels in (1, 3, 12):
        x = torch.rand(4, channels, 256, 256, device=META, requires_grad=True)
        pipeline = Pipeline("bg")
        pipeline(x, 0.5)
        with Calls() as calls:
            (grad,) = torch.autograd.grad(pipeline(x, 0.5).square().sum(), x, create_graph=True)
            torch.autograd.grad(grad.square().sum(), x)
        counts.append(calls.cost.calls)
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("size, at_most", [(32, 5.3e6), (256, 0.21e9)])
def test_large_images_are_not_multiplied_by_zeros(size, at_most):
    """Operations per image. With dense matrices they are 5.1 million at 32 pixels and 2.6 billion at 256."""
    x = images(size)
    with FlopCounterMode(display=False) as there:
        loss = Pipeline("bg")(x, 0.5).sum()
    with FlopCounterMode(display=False) as back:
        torch.autograd.grad(loss, x)
    for counter in (there, back):
        assert 0.5 * at_most < counter.get_total_flops() / len(x) < at_most
