"""Every transform on the device, with both derivatives, is what float64 on the CPU makes of the same random numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from leangan.augment import cr, diffaugment
from leangan.augment.pipeline import CATEGORIES, Pipeline, resample
from leangan.augment.pipeline.band import Blocks, separable
from leangan.augment.pipeline.geometry import affine
from leangan.augment.pipeline.places import source_of
from leangan.augment.pipeline.resample import copy_pixels, warp_by_need, warp_unread
from leangan.augment.pipeline.transforms import TRANSFORMS
from leangan.augment.pipeline.wavelet import doubling, halving, octave_matrices
from tests.helpers.twins import DrawnOnCpu, error

BOUND = 1e-4
"""Relative. float32 knows the position that is read from to 1e-7 of the image's width, in pixels of noise."""

OTHERS = {
    **{f"diffaugment-{name}": operation for name, operation in diffaugment.OPERATIONS.items()},
    **{f"pipeline-{name}": lambda x, name=name: Pipeline(name)(x, p_of(x, 0.6)) for name in CATEGORIES},
    "gates": lambda x: Pipeline("bgcfnc")(x, torch.linspace(0, 1, len(x)).to(x)),
    "flip-translation": cr.flip_and_translate,
}


def p_of(x: Tensor, p: float) -> Tensor:
    """p as methods keep it, a tensor on the device."""
    return torch.tensor(p, dtype=torch.float32, device=x.device)


def geometry_of(categories: str, x: Tensor, p: Tensor | float) -> Tensor:
    """The matrices that the pipeline draws."""
    pipeline = Pipeline(categories)
    return pipeline.geometry(x, pipeline.draw(x, p))


def images(n: int, *size: int) -> Tensor:
    """Noise, the hardest to resample."""
    return torch.rand(n, 3, *size, dtype=torch.float64) * 2 - 1


def with_derivatives(transform: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """T(x), the gradient g of |T(x)|^2 as a loss has it, and the gradient of |g|^2 as R1 has it."""
    x = x.detach().requires_grad_()
    torch.manual_seed(3)
    with DrawnOnCpu():
        out = transform(x)
    (g,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), x)
    assert out.dtype == x.dtype and out.device == x.device
    return [out, g, h]


def assert_same(transform: Callable, device: torch.device, x: Tensor, bound: float = BOUND) -> None:
    values, expected = (with_derivatives(transform, each) for each in (x.float().to(device), x.float().double()))
    for value, reference in zip(values, expected, strict=True):
        assert error(value, reference) < bound


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.__name__)
def test_a_transform_of_ada(device, transform):
    assert_same(transform, device, images(8, 32, 32))
    assert_same(lambda x: transform(x, p_of(x, 0.5), 0.7), device, images(8, 24, 40))


@pytest.mark.parametrize("transform", OTHERS.values(), ids=OTHERS)
def test_a_pipeline_and_the_operations_of_diffaugment(device, transform):
    assert_same(transform, device, images(8, 32, 32))


@pytest.mark.parametrize("size, chunk", [(16, None), (32, 3 * 32 * 32), (64, None)])
def test_the_warp_that_reads_nothing_back(device, monkeypatch, size, chunk):
    """`warp_unread`, which a GPU takes, against `warp_by_need`; also in pieces, the last one smaller."""
    x = images(8, size, size).float()
    with DrawnOnCpu():
        matrix = geometry_of("bg", x.double(), torch.linspace(0, 1, len(x)))
    matrix[-2:] = affine(x[-2:].double(), 0.2, 0, 0, 0.3)  # so small that nothing is left beyond the padding
    source = source_of(x.double(), matrix)
    assert len({tuple(row) for row in (source == source.round()).all(2).tolist()}) > 1, "some are copied, some are not"
    monkeypatch.setattr(resample, "GPU_CHUNK", chunk or resample.GPU_CHUNK)
    values = with_derivatives(lambda x: warp_unread(x, source.to(x)), x.to(device))
    expected = with_derivatives(lambda x: warp_by_need(x, source), x.double())
    for value, reference in zip(values, expected, strict=True):
        assert error(value, reference) < BOUND


def test_large_images_in_pieces(card):
    """As many as a GPU resamples at a time and a few more, at the size of the published networks."""
    x = images(resample.GPU_CHUNK // 256**2 + 2, 256, 256)
    # The position is known to 1e-5 pixels, and noise changes as much from one pixel to the next as it can.
    assert_same(lambda x: Pipeline("bgc")(x, p_of(x, 1.0)), card, x, bound=3e-4)


def test_pixels_are_copied_bit_for_bit(device):
    """Flips, quarter turns and whole shifts, by copying and among images that are resampled."""
    x = images(16, 32, 32).float()
    with DrawnOnCpu():
        matrix = geometry_of("blit", x, 1.0)
    for way in (copy_pixels, lambda x, matrix: warp_unread(x, source_of(x, matrix))):
        assert torch.equal(way(x.to(device), matrix.to(device)).cpu(), copy_pixels(x, matrix))


@pytest.mark.parametrize("make", [doubling, halving, octave_matrices])
def test_products_with_banded_matrices(device, make):
    """On a GPU at once or in blocks without most zeros, on the CPU in slices of rows."""
    tall, wide = (make(size, torch.float64, torch.device("cpu")) for size in (80, 96))
    tall, wide = (matrix[-1] if matrix.ndim == 3 else matrix for matrix in (tall, wide))
    x = images(2, tall.shape[1], wide.shape[1])
    at_once = [each.float().to(device) for each in (tall, wide)]
    in_blocks = [Blocks.of(each.float(), device) for each in (tall, wide)]
    for along_y, along_x in (at_once, in_blocks):
        assert error(separable(along_y, x.float().to(device), along_x), tall @ x @ wide.T) < 2e-6
