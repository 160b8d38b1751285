"""DiffAugment: laws and exact results of its three operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from leangan.augment.diffaugment import Method, color, cutout, translation
from leangan.plugins.notes import collected

MANY = 4000


def test_color_laws():
    torch.manual_seed(0)
    x = torch.rand(MANY, 3, 4, 4, dtype=torch.float64) * 2 - 1
    out = color(x)
    # Brightness moves the image's mean, contrast scales what a gray version deviates from it, and contrast
    # times saturation scales what the channels deviate from gray.
    brightness = (out - x).mean((1, 2, 3))
    gray, out_gray = x.mean(1), out.mean(1)
    contrasts = (out_gray - out_gray.mean((1, 2), True)) / (gray - gray.mean((1, 2), True))
    contrast = contrasts[:, 0, 0]
    saturations = (out - out_gray[:, None]) / (x - gray[:, None]) / contrast[:, None, None, None]
    saturation = saturations[:, 0, 0, 0]
    assert torch.allclose(contrasts, contrast[:, None, None].expand_as(contrasts))
    assert torch.allclose(saturations, saturation[:, None, None, None].expand_as(x))
    assert stats.kstest(brightness, stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    assert stats.kstest(contrast, stats.uniform(0.5, 1).cdf).pvalue > 1e-3
    assert stats.kstest(saturation, stats.uniform(0, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("size, reach", [(16, 2), (20, 3), (32, 4)])
def test_translation_is_uniform_and_fills_with_zeros(size, reach):
    torch.manual_seed(1)
    image = torch.arange(1, size * size + 1).view(1, 1, size, size).double()
    out = translation(image.repeat(MANY, 1, 1, 1)).numpy()[:, 0]
    source = out[:, size // 2, size // 2].astype(int) - 1  # the middle is never filled
    down, right = size // 2 - source // size, size // 2 - source % size
    padded = np.pad(image[0, 0].numpy(), reach)
    for n in range(MANY):
        row, column = reach - down[n], reach - right[n]
        assert np.array_equal(out[n], padded[row : row + size, column : column + size])
    for shift in (down, right):
        assert stats.chisquare(np.bincount(shift + reach, minlength=2 * reach + 1)).pvalue > 1e-3


@pytest.mark.parametrize("size, side", [(16, 8), (10, 5)])
def test_cutout_is_a_zero_square_with_uniform_centre(size, side):
    torch.manual_seed(2)
    kept = cutout(torch.ones(MANY, 2, size, size)).numpy()
    assert set(np.unique(kept)) == {0, 1}
    assert np.array_equal(kept[:, 0], kept[:, 1])
    hole = kept[:, 0] == 0
    # The centre is on one of the pixels if the side is odd, on one of the pixel borders if it is even.
    centres = np.arange(size) + 0.5 if side % 2 else np.arange(size + 1)
    pixels = np.arange(size) + 0.5
    covered = (np.abs(pixels[:, None] - centres) < side / 2).mean(1)
    expected = np.outer(covered, covered)
    spread = np.sqrt(expected * (1 - expected) / MANY)
    assert (np.abs(hole.mean(0) - expected) < 4.5 * spread).all()
    rows, columns = hole.any(2).sum(1), hole.any(1).sum(1)
    assert rows.max() == columns.max() == side
    assert np.array_equal(hole.sum((1, 2)), rows * columns)


def test_operations_run_in_the_order_of_the_policy():
    x = torch.ones(64, 3, 16, 16)
    torch.manual_seed(3)
    last = Method("color,cutout").transform(x, "real")
    torch.manual_seed(3)
    first = Method("cutout, color").transform(x, "real")
    assert (last == 0).flatten(1).any(1).all()  # cut out after the colours changed
    assert not (first == 0).any()


def test_empty_policy_is_the_identity():
    x = torch.rand(2, 3, 16, 16)
    assert Method("").transform(x, "fake_g") is x


def test_unknown_operation_names_the_nearest():
    with pytest.raises(ValueError, match="'colour'.*'color'"):
        Method("colour,cutout")


def test_same_seed_same_images_and_fresh_draws_otherwise():
    method, x = Method(), torch.rand(2, 3, 16, 16)
    torch.manual_seed(4)
    first, second = method.transform(x, "real"), method.transform(x, "fake_d")
    torch.manual_seed(4)
    assert torch.equal(method.transform(x, "real"), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives_of_first_and_second_order(channels):
    torch.manual_seed(0)
    x = torch.rand(2, channels, 8, 8, dtype=torch.float64, requires_grad=True)

    def transform(x):
        torch.manual_seed(5)
        return Method().transform(x, "real")

    assert torch.autograd.gradcheck(transform, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: transform(x).square(), x, fast_mode=True)


@pytest.mark.parametrize("height, width", [(16, 16), (20, 32), (10, 27)])
def test_what_it_draws_is_noted_and_makes_its_images(height, width):
    """The notes, each in [0, 1], give the images again; the draws are those of torch's generator in this order."""
    x = torch.rand(50, 3, height, width, dtype=torch.float64) * 2 - 1
    torch.manual_seed(6)
    with collected() as notes:
        out = Method().transform(x, "real")
    color, translation, cutout = (each.numpy() for (each,) in (notes["color"], notes["translation"], notes["cutout"]))

    brightness, saturation, contrast = color.T[:, :, None, None, None]
    images = x.numpy() + brightness - 0.5
    gray = images.mean(1, keepdims=True)
    images = gray + (images - gray) * 2 * saturation
    mean = images.mean((1, 2, 3), keepdims=True)
    images = mean + (images - mean) * (0.5 + contrast)
    reach = np.array([int(size / 8 + 0.5) for size in (height, width)])
    side = np.array([int(size / 2 + 0.5) for size in (height, width)])
    shifts = (translation * 2 - 1) * reach
    last = np.array([height, width]) - side % 2
    centres = cutout * last
    for n, image in enumerate(images):
        row, column = np.rint(reach + shifts[n]).astype(int)
        images[n] = np.pad(image, [(0, 0), (reach[0],) * 2, (reach[1],) * 2])[:, row:, column:][:, :height, :width]
        from_row, from_column = np.rint(centres[n]).astype(int) - side // 2
        to_row, to_column = from_row + side[0], from_column + side[1]
        images[n, :, max(from_row, 0) : to_row, max(from_column, 0) : to_column] = 0
    np.testing.assert_allclose(out.numpy(), images, atol=1e-12)
    assert translation.min() == cutout.min() == 0 and translation.max() == cutout.max() == 1

    torch.manual_seed(6)
    np.testing.assert_array_equal(torch.rand(50, 3, 1, 1, 1, dtype=torch.float64).numpy()[:, :, 0, 0, 0], color)
    for drawn, low, high in ((shifts, -reach, reach), (centres, [0, 0], last)):
        for axis in range(2):
            again = torch.randint(int(low[axis]), int(high[axis]) + 1, (50, 1)).numpy()[:, 0]
            np.testing.assert_allclose(drawn[:, axis], again, atol=1e-5)
