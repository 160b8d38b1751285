"""The pipeline as a whole: gates, order, reproducibility and derivatives."""

from __future__ import annotations

import re

import pytest
import torch
from scipy import stats

from leangan.augment.pipeline import CATEGORIES, Pipeline
from leangan.augment.pipeline.geometry import affine
from leangan.augment.pipeline.resample import warp


def geometry_of(categories, x, p):
    """The matrices that the pipeline draws."""
    pipeline = Pipeline(categories)
    return pipeline.geometry(x, pipeline.draw(x, p))


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(4, 3, 16, 16) * 2 - 1


@pytest.mark.parametrize("categories", list(CATEGORIES))
@pytest.mark.parametrize("channels", [1, 3])
def test_identity_at_p_zero_is_bitwise(categories, channels, images):
    assert torch.equal(Pipeline(categories)(images[:, :channels], 0.0), images[:, :channels])


@pytest.mark.parametrize("categories", list(CATEGORIES))
def test_every_image_changes_at_p_one(categories, images):
    torch.manual_seed(1)
    x = images.repeat(8, 1, 1, 1)
    changed = (Pipeline(categories)(x, 1.0) != x).flatten(1).any(1)
    # Blitting alone leaves an image in place with probability 1 / 2 * 1 / 4 * 1 / 25 = 1 / 200 at 16 pixels.
    assert changed.sum() >= 30 if categories == "blit" else changed.all()


@pytest.mark.parametrize("wrong", ["bcg", ["b", "g", "c"], None])
def test_unknown_categories_are_named_with_the_known(wrong):
    with pytest.raises(ValueError, match=f"{re.escape(repr(wrong))}.*bgc"):
        Pipeline(wrong)


@pytest.mark.parametrize("p", [0.1, torch.tensor(0.6), 1.0, 1.3])
def test_rotation_before_or_after_scaling_has_probability_p(p):
    torch.manual_seed(2)
    x = torch.zeros(4000, 3, 16, 16)
    turned = geometry_of("geom", x, p)[:, [0, 1], [1, 0]].any(1)
    assert stats.binomtest(int(turned.sum()), len(x), min(float(p), 1)).pvalue > 1e-3


def test_copied_and_resampled_images_keep_their_places():
    torch.manual_seed(5)
    x = torch.rand(64, 3, 16, 16)
    matrix = geometry_of("bg", x, 0.15)
    copied = (matrix == matrix.round()).all((1, 2))
    assert 5 < copied.sum() < 59
    out = warp(x, matrix)
    for i in range(64):
        assert torch.allclose(out[i : i + 1], warp(x[i : i + 1], matrix[i : i + 1]), atol=1e-5)


def test_same_seed_same_images(images):
    pipeline = Pipeline("bgcfnc")
    outs = []
    for seed in (6, 6, 7):
        torch.manual_seed(seed)
        outs.append(pipeline(images, 0.8))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("categories, channels, p", [("bgcfnc", 3, 0.6), ("bgc", 1, 1.0)])
def test_derivatives_of_first_and_second_order(categories, channels, p):
    torch.manual_seed(0)
    x = torch.rand(3, channels, 6, 6, dtype=torch.float64, requires_grad=True)
    pipeline = Pipeline(categories)

    def transform(x):
        torch.manual_seed(8)
        return pipeline(x, p)

    # Squared: the pipeline is affine in x, whose second derivative alone would be zero.
    assert torch.autograd.gradcheck(transform, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: transform(x).square(), x, fast_mode=True)


def test_gradient_penalty_through_the_warp():
    # f = |A x|^2 / 2 has the gradient g = A^T A x, and |g|^2 / 2 the gradient (A^T A)^2 x.
    torch.manual_seed(0)
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    matrix = affine(x, 0.9, 0.3, -0.2, 1.1, 0.4, -0.7)
    basis = torch.eye(36, dtype=torch.float64).view(36, 1, 6, 6)
    a = warp(basis, matrix.repeat(36, 1, 1)).view(36, 36).T
    (g,) = torch.autograd.grad(warp(x, matrix).square().sum() / 2, x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum() / 2, x)
    assert torch.allclose(g.flatten(), a.T @ a @ x.flatten())
    assert torch.allclose(h.flatten(), a.T @ a @ a.T @ a @ x.flatten())


def test_autocast_and_16_bits_round_nothing_within(images):
    images, outs = images.bfloat16(), []
    for x, enabled in ((images, True), (images, False), (images.float(), True), (images.float(), False)):
        torch.manual_seed(9)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outs.append(Pipeline("bgcfnc")(x, 0.9))
    assert torch.equal(outs[2], outs[3])
    for out in outs[:2]:
        assert torch.equal(out, outs[3].bfloat16())
