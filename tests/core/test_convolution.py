"""Convolutions that are differentiated twice, against torch's own and finite differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from leangan.core.convolution import convolve, differentiated_twice
from leangan.models import stylegan2

KINDS = [(1, 1, False), (1, 0, False), (2, 0, False), (2, 0, True)]


def inputs(transposed: bool) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (2, 3, 3, 3) if transposed else (3, 2, 3, 3)
    return [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 2, 5, 7), shape)]


@pytest.mark.parametrize("stride, padding, transposed", KINDS)
def test_a_convolution_and_its_derivatives_are_those_of_torch(stride, padding, transposed):
    x, weight = inputs(transposed)
    torch_convolution = F.conv_transpose2d if transposed else F.conv2d
    found = []
    for call in (
        lambda: convolve(x, weight, stride, padding, transposed),
        lambda: torch_convolution(x, weight, stride=stride, padding=padding),
    ):
        with differentiated_twice():
            y = call()
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found.append((y, first, *torch.autograd.grad(first.pow(3).sum() + y.sum(), (x, weight))))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride, padding, transposed", KINDS)
def test_a_convolution_differentiates_twice(stride, padding, transposed):
    def call(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        with differentiated_twice():
            return convolve(x, weight, stride, padding, transposed)

    assert torch.autograd.gradcheck(call, inputs(transposed), fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs(transposed), fast_mode=True)


class Convolutions(TorchDispatchMode):
    """The widest filter of a convolution, and how many gradients with respect to weights there are."""

    def __init__(self) -> None:
        super().__init__()
        self.widest = self.by_filters = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default:
            self.widest = max(self.widest, args[1].shape[-1])
        if func is torch.ops.aten.convolution_backward.default:
            self.by_filters += args[-1][1]
        return func(*args, **(kwargs or {}))


def test_a_gradient_by_images_takes_none_by_filters():
    with Convolutions() as seen, differentiated_twice():
        x, weight = inputs(False)
        torch.autograd.grad(convolve(x, weight).sum(), x, create_graph=True)
    assert seen.by_filters == 0


@pytest.mark.parametrize("penalty", ["R1", "path length"])
def test_no_penalty_takes_maps_for_filters(penalty, monkeypatch):
    keys = {"z_dim": 8, "w_dim": 6, "mapping_layers": 2, "fmap_base": 16, "fmap_max": 4, "pl_weight": 1.0}
    backbone = stylegan2.Backbone({**keys, "pl_interval": 4}, 16, channels=3, classes=0)
    G, D = backbone.generator(), backbone.discriminator()

    def widest() -> int:
        with Convolutions() as seen:
            if penalty == "R1":
                x = torch.randn(4, 3, 16, 16, requires_grad=True)
                backbone.d_regularizer(x, D(x, None)).backward()
            else:
                backbone.g_regularizer(G, torch.randn(4, 8), None).backward()
        return seen.widest

    assert widest() == 4
    for module in ("stylegan2.discriminator", "stylegan2"):
        monkeypatch.setattr(f"leangan.models.{module}.differentiated_twice", lambda _=True: differentiated_twice(False))
    assert widest() >= 16
