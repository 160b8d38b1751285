"""Products with banded matrices, in slices and in blocks without zeros, against products with the whole matrices."""

from __future__ import annotations

import pytest
import torch

from leangan.augment.pipeline import band, resample
from leangan.augment.pipeline.band import Blocks, in_blocks, separable
from leangan.augment.pipeline.geometry import affine, compose, geometry
from leangan.augment.pipeline.laws import ROTATE, SCALE, TRANSLATE
from leangan.augment.pipeline.places import source_of
from leangan.augment.pipeline.resample import warp_unread
from leangan.augment.pipeline.wavelet import doubling, halving

CPU = torch.device("cpu")


def random(*size: int) -> torch.Tensor:
    return torch.rand(*size, dtype=torch.float64)


def test_separable_is_the_product_with_both_matrices():
    torch.manual_seed(0)
    matrix = random(150, 170).tril(20).triu(-3)
    matrix[:70] = 0  # a slice and some blocks without any entry
    x = random(2, 3, 170, 170)
    expected = torch.einsum("ij,ncjk,lk->ncil", matrix, x, matrix)
    blocks = Blocks.of(matrix, CPU)
    for along_y in (matrix, blocks):
        for along_x in (matrix, blocks):
            assert torch.allclose(separable(along_y, x, along_x), expected)


@pytest.mark.parametrize("height", range(8, 65))
def test_blocks_double_and_halve_as_the_matrices_do_and_so_do_their_adjoints(height):
    torch.manual_seed(height)
    width = 72 - height
    for make in (doubling, halving):
        tall, wide = make(height, torch.float64, CPU), make(width, torch.float64, CPU)
        x, y = random(2, 2, tall.shape[1], wide.shape[1]), random(2, 2, len(tall), len(wide))
        there = separable(Blocks.of(tall, CPU), x, Blocks.of(wide, CPU))
        back = separable(Blocks.of(tall.T, CPU), y, Blocks.of(wide.T, CPU))
        assert torch.allclose(there, tall @ x @ wide.T, rtol=1e-13, atol=1e-13)
        assert torch.allclose(back, tall.T @ y @ wide, rtol=1e-13, atol=1e-13)
        assert (there * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)


@pytest.mark.parametrize("height, width", [(16, 16), (9, 40), (64, 32)])
def test_a_warp_in_blocks_is_the_warp_and_so_are_its_derivatives(height, width, monkeypatch):
    torch.manual_seed(1)
    x, y = random(12, 2, height, width).requires_grad_(), random(12, 2, height, width)
    matrix = geometry(x, scale=SCALE(x), rotate=ROTATE(x, 0.7), translate=TRANSLATE(x, 0.5))
    source = source_of(x, compose(matrix, affine(x, 0.8, 0, 0, 0.8)))

    def with_derivatives() -> list[torch.Tensor]:
        resample._period_products.cache_clear()
        out = warp_unread(x, source)
        (g,) = torch.autograd.grad((out * y).sum() + out.square().sum(), x, create_graph=True)
        return [out, g, *torch.autograd.grad(g.square().sum(), x)]

    expected = with_derivatives()
    monkeypatch.setattr(resample, "product_of", in_blocks)
    for value, wanted in zip(with_derivatives(), expected, strict=True):
        assert torch.allclose(value, wanted, rtol=1e-11, atol=1e-11)
    resample._period_products.cache_clear()


def test_a_gpu_uses_blocks_of_large_matrices_only():
    def used(size: int, device: str) -> list[type]:
        return [type(each) for each in resample._period_products(size, torch.float32, torch.device(device))[0]]

    assert used(band.DENSE, "meta") == used(512, "cpu") == [torch.Tensor] * 2
    assert used(band.DENSE + 1, "meta") == [Blocks] * 2
