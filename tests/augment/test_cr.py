"""Consistency regularisation against its definition (arXiv:1910.12027)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from leangan.augment.cr import Method, flip_and_translate
from leangan.plugins.method import DStep
from leangan.runs.methods import bind_all, method_plugins
from tests.helpers.steps import step_of_d


class Weighted(torch.nn.Module):
    """D(x, c) = <weights, x> + sum of c, so that logits are known."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return (x * self.weights).sum((1, 2, 3))[:, None] + c.sum(1, keepdim=True)


def context(D, x_real, d_real, c_real) -> DStep:
    """A D step on reals without a transform; its fakes are of no use to CR."""
    return step_of_d(
        D=D,
        transform=lambda x, role: x,
        c_real=c_real,
        x_real=x_real,
        t_real=x_real,
        d_real=d_real,
    )


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (2, 16, 28)])
def test_a_view_is_a_mirrored_and_shifted_image_with_its_reflection_outside(shape):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image = rng.standard_normal(shape).astype(np.float32)
    _channels, height, width = shape
    y, x = height // 8, width // 8
    expected = {}
    for flip in (False, True):
        padded = np.pad(image[:, :, ::-1] if flip else image, ((0, 0), (y, y), (x, x)), mode="reflect")
        for top in range(2 * y + 1):
            for left in range(2 * x + 1):
                view = padded[:, top : top + height, left : left + width]
                expected[np.ascontiguousarray(view).tobytes()] = (flip, top, left)
    count = 8 * len(expected)
    views = flip_and_translate(torch.from_numpy(image).expand(count, -1, -1, -1))
    drawn = [expected[view.numpy().tobytes()] for view in views]
    for values, size in zip(zip(*drawn, strict=True), (2, 2 * y + 1, 2 * x + 1), strict=True):
        assert chisquare(np.bincount(values, minlength=size)).pvalue > 1e-3


def test_penalty_is_ten_times_the_mean_squared_difference_on_reals():
    torch.manual_seed(0)
    x, c = torch.randn(5, 3, 16, 16), torch.rand(5, 2)
    D = Weighted(torch.randn(3, 16, 16))
    d_real = torch.randn(5, 1, requires_grad=True)
    loss = Method().d_loss(context(D, x, d_real, c))
    (view,) = D.seen
    assert not torch.equal(view, x)
    d_view = (view * D.weights).sum((1, 2, 3)) + c.sum(1)
    difference = d_real.detach()[:, 0] - d_view
    assert loss.item() == pytest.approx(10 * difference.square().mean().item(), rel=1e-5)
    loss.backward()
    torch.testing.assert_close(d_real.grad[:, 0], 20 * difference / 5)


def test_view_none_compares_with_the_image_itself():
    x, c = torch.randn(4, 3, 8, 8), torch.zeros(4, 2)
    D = Weighted(torch.randn(3, 8, 8))
    d_real = (x * D.weights).sum((1, 2, 3))[:, None]
    assert Method(view="none").d_loss(context(D, x, d_real, c)).item() == 0
    assert torch.equal(D.seen[0], x)
    shifted = Method(weight=3.0, view="none").d_loss(context(D, x, d_real + 2, c))
    assert shifted.item() == pytest.approx(12, rel=1e-4)


def test_a_symmetric_image_of_one_colour_costs_nothing():
    x = torch.full((4, 3, 16, 16), 0.3)
    D = Weighted(torch.randn(3, 16, 16))
    d_real = D(x, torch.zeros(4, 1))
    assert Method().d_loss(context(D, x, d_real, torch.zeros(4, 1))).item() == pytest.approx(0, abs=1e-8)


def test_unknown_view_names_the_known():
    with pytest.raises(ValueError, match="'flip'.*flip-translation"):
        Method(view="flip")


def test_rows_of_the_published_table():
    assert method_plugins("cr-diffaugment") == bind_all([("diffaugment", {"policy": "cutout"}), ("cr", {})])
    limited = [("diffaugment", {"policy": "translation,cutout"}), ("cr", {"view": "none"})]
    assert method_plugins("cr-diffaugment-limited") == bind_all(limited)
