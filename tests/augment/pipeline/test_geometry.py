"""Blitting and geometry: laws of the parameters, and the warp against exact answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from leangan.augment.pipeline import rotate, rotate90, scale, scale_anisotropic, translate
from leangan.augment.pipeline.blit import blit
from leangan.augment.pipeline.geometry import affine, compose, geometry
from leangan.augment.pipeline.laws import (
    FLIP_X,
    ROTATE,
    ROTATE90,
    SCALE,
    SCALE_ANISOTROPIC,
    TRANSLATE,
    TRANSLATE_WHOLE,
)
from leangan.augment.pipeline.places import source_of
from leangan.augment.pipeline.resample import copy_pixels, warp, warp_unread
from leangan.augment.pipeline.wavelet import CENTRE, HALO, SYM2, SYM6, doubling, first_doubled, halving, reflect

CPU = torch.device("cpu")
MANY = torch.zeros(()).expand(100_000, 1, 16, 32)
"""So many that a law's width is known to 3 %."""


def draw_scale(x, p=1.0, strength=1.0):
    return geometry(x, scale=strength * SCALE(x, p))


def draw_scale_anisotropic(x):
    return geometry(x, scale_anisotropic=SCALE_ANISOTROPIC(x))


def draw_rotate(x, p=1.0):
    return geometry(x, rotate=ROTATE(x, p))


def draw_translate(x, p=1.0, strength=1.0):
    return geometry(x, translate=strength * TRANSLATE(x, p))


def draw_flip_x(x):
    return blit(x, flip_x=FLIP_X(x))


def draw_rotate90(x):
    return blit(x, rotate90=ROTATE90(x))


def draw_translate_whole(x):
    return blit(x, translate_whole=TRANSLATE_WHOLE(x))


# Wavelets.


def daubechies_filters(moments: int) -> list[np.ndarray]:
    """All real orthonormal filters of 2 * moments taps with so many vanishing moments, by factorisation.

    |H(w)|^2 = 2 cos^2m(w/2) P(sin^2(w/2)), P(y) = sum_k C(m-1+k, k) y^k. Each root y of P is a pair z, 1/z,
    y = (2 - z - 1/z) / 4, of which H keeps one, together with its complex conjugate.
    """
    choices = []
    for y in np.roots([math.comb(moments - 1 + k, k) for k in reversed(range(moments))]):
        if y.imag > -1e-9:
            z = np.roots([1, 4 * y - 2, 1])
            choices.append([{r, r.conjugate()} if abs(r.imag) > 1e-9 else {r} for r in z])
    filters = []
    for choice in itertools.product(*choices):
        h = np.poly([-1] * moments + [root for roots in choice for root in roots]).real
        filters.append(h * 2**0.5 / h.sum())
    return filters


def largest_phase_error(h: np.ndarray) -> float:
    """Largest deviation of the spectrum's phase from that of a delay to the centroid, up to 0.9 Nyquist."""
    k, omega = np.arange(len(h)), np.linspace(0, 0.9 * np.pi, 256)
    return np.abs(np.angle(np.exp(-1j * omega[:, None] * (k - k @ h / h.sum())) @ h)).max()


@pytest.mark.parametrize("taps", [SYM2, SYM6])
def test_wavelet_taps_are_the_least_asymmetric_daubechies_filter(taps):
    filters = daubechies_filters(len(taps) // 2)
    nearest = min(filters, key=lambda h: np.abs(h - taps).max())
    assert np.abs(nearest - taps).max() < 1e-11
    assert largest_phase_error(nearest) == pytest.approx(min(map(largest_phase_error, filters)))


@pytest.mark.parametrize("size", [6, 16, 33])
def test_halving_undoes_doubling(size):
    start = -HALO - first_doubled(size)
    window = doubling(size, torch.float64, CPU)[start : start + 2 * size + 2 * HALO]
    product = halving(size, torch.float64, CPU) @ window
    assert torch.allclose(product, torch.eye(size, dtype=torch.float64), atol=1e-11)


def test_doubled_samples_lie_where_centre_says():
    # sym6 reproduces polynomials up to degree 5, hence a ramp, away from the reflected ends.
    size = 40
    ramp = torch.arange(size, dtype=torch.float64)
    doubled = doubling(size, torch.float64, CPU) @ ramp
    u = torch.arange(12, 2 * size - 12)
    assert torch.allclose(doubled[u - first_doubled(size)], (u.double() - CENTRE) / 2, atol=1e-9)


def test_reflect_is_numpy_reflect_padding():
    expected = np.pad(np.arange(7), (15, 15), mode="reflect")
    assert reflect(torch.arange(-15, 22), 7).tolist() == expected.tolist()


# Laws.


def test_scale_law():
    torch.manual_seed(0)
    m = draw_scale(MANY)
    assert stats.kstest(m[:, 0, 0].log2() / 0.2, "norm").pvalue > 1e-3
    assert torch.equal(m[:, 0, 0], m[:, 1, 1])
    assert not m[:, [0, 0, 1, 1], [1, 2, 0, 2]].any()


def test_scale_anisotropic_law():
    torch.manual_seed(1)
    m = draw_scale_anisotropic(MANY)
    assert stats.kstest(m[:, 0, 0].log2() / 0.2, "norm").pvalue > 1e-3
    assert torch.allclose(m[:, 0, 0] * m[:, 1, 1], torch.ones(()))


def test_rotate_law():
    torch.manual_seed(2)
    m = draw_rotate(MANY)
    angle = torch.atan2(m[:, 1, 0], m[:, 0, 0])
    assert stats.kstest(angle, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3
    assert torch.allclose(m @ m.mT, torch.eye(3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(m), torch.ones(()), atol=1e-6)


def test_translate_law():
    torch.manual_seed(3)
    m = draw_translate(MANY)
    dx, dy = m[:, 0, 2] / 32 / 0.125, m[:, 1, 2] / 16 / 0.125
    assert stats.kstest(dx, "norm").pvalue > 1e-3
    assert stats.kstest(dy, "norm").pvalue > 1e-3
    assert stats.pearsonr(dx, dy).pvalue > 1e-3


def test_flip_law():
    torch.manual_seed(4)
    m = draw_flip_x(MANY)
    assert stats.binomtest(int((m[:, 0, 0] == -1).sum()), len(m), 0.5).pvalue > 1e-3
    assert set(m[:, 0, 0].tolist()) == {-1.0, 1.0}


def test_rotate90_law():
    torch.manual_seed(5)
    m = draw_rotate90(MANY)
    turns = torch.atan2(m[:, 1, 0], m[:, 0, 0]).div(math.pi / 2).round().long() % 4
    assert stats.chisquare(torch.bincount(turns, minlength=4)).pvalue > 1e-3


def test_translate_whole_law():
    torch.manual_seed(6)
    m = draw_translate_whole(MANY)
    # U(-4, 4) rounded along x, U(-2, 2) along y: the two ends have half the probability of the values between.
    for axis, law in ((0, [0.5, 1, 1, 1, 1, 1, 1, 1, 0.5]), (1, [0.5, 1, 1, 1, 0.5])):
        counts = torch.bincount(m[:, axis, 2].long() + len(law) // 2, minlength=len(law))
        assert stats.chisquare(counts, np.array(law) / sum(law) * len(m)).pvalue > 1e-3
    assert stats.pearsonr(m[:, 0, 2], m[:, 1, 2]).pvalue > 1e-3


# Laws measured from images.


SIDE = 48
AXIS = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2


def blob(x: float, y: float, sigma: float = 2.0) -> torch.Tensor:
    """A Gaussian at (x, y) from the centre, in each of 400 images; its reflections stay out of sight."""
    image = torch.exp(-((AXIS - x) ** 2 + (AXIS[:, None] - y) ** 2) / (2 * sigma**2))
    return image.expand(400, 1, SIDE, SIDE)


def centre(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The place of the blob's centre, x and y, each [N]."""
    share = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    return share.sum(1) @ AXIS, share.sum(2) @ AXIS


def test_rotation_angles_measured_from_images():
    torch.manual_seed(10)
    x, y = centre(rotate(blob(6, 0)))
    assert torch.allclose(torch.hypot(x, y), torch.tensor(6.0).double(), atol=0.02)
    assert stats.kstest(torch.atan2(y, x), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


def test_scales_measured_from_images():
    torch.manual_seed(11)
    x, y = centre(scale(blob(4, -4), strength=0.5))
    assert torch.allclose(x, -y, atol=0.01)
    assert stats.kstest((x / 4).log2() / 0.1, "norm").pvalue > 1e-3


def test_anisotropic_scales_measured_from_images():
    torch.manual_seed(12)
    x, y = centre(scale_anisotropic(blob(4, 4), strength=0.5))
    assert torch.allclose(x * y, torch.tensor(16.0).double(), rtol=0.01)
    assert stats.kstest((x / 4).log2() / 0.1, "norm").pvalue > 1e-3


def test_translations_measured_from_images():
    torch.manual_seed(13)
    x, y = centre(translate(blob(0, 0), strength=0.5))
    for shift in (x, y):
        assert stats.kstest(shift / SIDE / 0.0625, "norm").pvalue > 1e-3
    assert stats.pearsonr(x, y).pvalue > 1e-3


# The warp.


@pytest.fixture
def image():
    torch.manual_seed(0)
    return torch.rand(2, 3, 16, 16) * 2 - 1


def test_identity_is_bitwise(image):
    assert torch.equal(warp(image, torch.eye(3).repeat(2, 1, 1)), image)


def test_flip_is_exact(image):
    assert torch.equal(warp(image, affine(image, -1, 0, 0, 1, 0, 0)), image.flip(3))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_affine(image, turns):
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    # y points down, so that a positive angle turns clockwise; torch.rot90 turns the other way.
    assert torch.equal(warp(image, affine(image, cos, -sin, sin, cos, 0, 0)), image.rot90(-turns, (2, 3)))


@pytest.mark.parametrize("dx, dy", [(3, 0), (0, -5), (-2, 4)])
def test_whole_translation_is_exact_and_reflects(image, dx, dy):
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (8, 8), (8, 8)), mode="reflect")
    expected = padded[:, :, 8 - dy : 24 - dy, 8 - dx : 24 - dx]
    assert np.array_equal(warp(image, affine(image, 1, 0, 0, 1, dx, dy)).numpy(), expected)


def test_blitting_copies_pixels_after_any_combination():
    torch.manual_seed(1)
    values = torch.randperm(64 * 12 * 12).view(64, 1, 12, 12).float()
    out = warp(values, compose(draw_flip_x(values), draw_rotate90(values), draw_translate_whole(values)))
    for before, after in zip(values, out, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
    assert (out != values).flatten(1).any(1).sum() > 40


def plane_wave(x, y):
    """Wavelengths of 14 and 20 pixels."""
    return torch.sin(0.31 * x + 0.32 * y) + torch.cos(0.28 * y - 0.14 * x)


@pytest.mark.parametrize("angle, factor, dx, dy", [(0.5, 1.1, 1.3, -0.7), (2.5, 0.9, 0, 0.5), (-1.2, 1.3, -2.2, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_warp_of_a_plane_wave_is_the_transformed_wave(angle, factor, dx, dy, dtype):
    size = 64
    grid = torch.arange(size, dtype=dtype) - (size - 1) / 2
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    image = plane_wave(x, y)[None, None]
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    out = warp(image, affine(image, cos, -sin, sin, cos, dx, dy))
    a, b, c, d = np.linalg.inv(np.array([[cos, -sin], [sin, cos]])).ravel().tolist()
    expected = plane_wave(a * (x - dx) + b * (y - dy), c * (x - dx) + d * (y - dy))
    # Bilinear reading of samples half a pixel apart loses at most (1/2)^2 / 8 times |f_xx| + |f_yy| of each
    # wave, together 0.3 here; the rest is the slope of sym6 in the pass band.
    inner = slice(22, 42)
    error = (out[0, 0, inner, inner] - expected[inner, inner]).abs().max()
    assert out.dtype == dtype
    assert error < 0.3 / 32 + 0.005


def test_warp_of_a_gaussian_is_the_transformed_gaussian():
    torch.manual_seed(14)
    image = blob(3, -2, sigma=3)[:40]
    matrix = compose(*(draw(image) for draw in (draw_scale, draw_rotate, draw_scale_anisotropic, draw_rotate)))
    source = torch.linalg.inv(matrix)
    x, y = torch.meshgrid(AXIS, AXIS, indexing="xy")
    back = source @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    expected = torch.exp(-((back[:, 0] - 3) ** 2 + (back[:, 1] + 2) ** 2) / (2 * 3**2)).view_as(image)
    inner = slice(10, 38)
    # Bilinear reading of samples half a pixel apart loses at most (1/2)^2 / 8 times |f_xx| + |f_yy| <= 2 / 3^2.
    error = (warp(image, matrix) - expected)[..., inner, inner].abs().max()
    assert error < 2 / 9 / 32 + 0.005
    assert (warp(warp(image, matrix), source) - image)[..., inner, inner].abs().max() < 2 * (2 / 9 / 32 + 0.005)


def test_resampled_half_turn_is_not_shifted():
    # cos(pi) and sin(pi) are not exact in floating point: the image is resampled, not copied.
    size = 32
    grid = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    image = plane_wave(grid[None, :], grid[:, None])[None, None]
    cos, sin = math.cos(math.pi + 1e-9), math.sin(math.pi + 1e-9)
    out = warp(image, affine(image, cos, -sin, sin, cos, 0, 0))
    difference = (out - image.rot90(2, (2, 3)))[..., 6:-6, 6:-6].abs().max()
    assert 0 < difference < 0.01  # a shift of 0.4 pixels would make 0.15


def test_fractional_translation_reflects_at_the_border():
    size = 32
    # A cosine with extrema on both end pixels is its own reflection, so its translation is known everywhere.
    phase = torch.arange(size, dtype=torch.float64).repeat(size, 1)[None, None]
    frequency = 3 * math.pi / (size - 1)
    image = torch.cos(frequency * phase)
    out = warp(image, affine(image, 1, 0, 0, 1, 7.4, 0))
    assert torch.allclose(out, torch.cos(frequency * (phase - 7.4)), atol=0.005)


def test_zeros_follow_the_reflect_padding():
    image = torch.ones(1, 1, 32, 32)
    out = warp(image, affine(image, 0.2, 0, 0, 0.2, 0, 0))[0, 0]
    # Shrunk to 1/5, the padded image of 3 * 32 - 2 pixels covers the middle 18.8 of 32; sym6 reaches 3 more.
    assert torch.allclose(out[10:22, 10:22], torch.ones(()), atol=1e-5)
    assert not out[:3].any() and not out[:, -3:].any()
    assert not warp(image, affine(image, 1, 0, 0, 1, 100.5, 0)).any()


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    torch.manual_seed(3)
    images = torch.rand(6, 3, 20, 20, dtype=torch.float64)
    matrices = compose(draw_scale(images, strength=3), draw_rotate(images), draw_translate(images, p=0.5))
    matrices[2] = torch.eye(3)
    together = warp(images, matrices)
    alone = torch.cat([warp(images[i : i + 1], matrices[i : i + 1]) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-12)
    assert torch.equal(together[2], images[2])


def test_images_may_have_unequal_sides():
    torch.manual_seed(4)
    image = torch.rand(1, 1, 12, 20, dtype=torch.float64)
    assert torch.equal(warp(image, affine(image, -1, 0, 0, 1, 0, 0)), image.flip(3))
    slightly = warp(image, affine(image, 1, 0, 0, 1, 1e-7, 0))
    assert torch.allclose(slightly, image, atol=1e-5) and not torch.equal(slightly, image)
    # A quarter turn about the centre: a middle square of 12 is turned, what lies beyond it is its reflection.
    turned = copy_pixels(image, affine(image, 0, -1, 1, 0))
    assert torch.equal(turned[..., 4:16], image[..., 4:16].rot90(-1, (2, 3)))


def test_a_quarter_turn_between_pixels_is_refused():
    with pytest.raises(ValueError, match="12 x 19.*even"):
        rotate90(torch.zeros(1, 3, 12, 19))


def test_compose_agrees_with_linear_algebra():
    torch.manual_seed(5)
    x = torch.zeros(8, 1, 16, 16, dtype=torch.float64)
    first, second = compose(draw_scale(x), draw_translate(x)), draw_rotate(x)
    assert torch.allclose(compose(first, second), second @ first)


def test_all_transforms_in_one_matrix_are_one_after_the_other():
    torch.manual_seed(8)
    x = torch.zeros(50, 1, 24, 32, dtype=torch.float64)
    laws = {"scale": SCALE, "rotate": ROTATE, "scale_anisotropic": SCALE_ANISOTROPIC}
    numbers = {name: law(x) for name, law in {**laws, "rotate_again": ROTATE, "translate": TRANSLATE}.items()}
    product = torch.eye(3, dtype=torch.float64)
    for name, number in numbers.items():
        product = geometry(x, **{name: number}) @ product
    assert torch.allclose(geometry(x, **numbers), product)
    whole = {"flip_x": FLIP_X(x), "rotate90": ROTATE90(x), "translate_whole": TRANSLATE_WHOLE(x)}
    product = torch.eye(3, dtype=torch.float64)
    for name, number in whole.items():
        product = blit(x, **{name: number}) @ product
    assert torch.equal(blit(x, **whole), product)


def test_the_source_is_the_inverse_about_the_centre():
    torch.manual_seed(9)
    x = torch.zeros(8, 1, 12, 30, dtype=torch.float64)
    matrix = compose(draw_scale(x), draw_rotate(x), draw_scale_anisotropic(x), draw_translate(x))
    to_centre = torch.tensor([[1, 0, -14.5], [0, 1, -5.5], [0, 0, 1]], dtype=torch.float64)
    expected = torch.linalg.inv(to_centre) @ torch.linalg.inv(matrix) @ to_centre
    assert torch.allclose(source_of(x, matrix), expected[:, :2])


@pytest.mark.parametrize("zoom", [0.6, 3.0])
def test_the_adjoint_is_exact(zoom):
    # <A x, y> = <x, A^T y> for random x and y.
    torch.manual_seed(6)
    x = torch.rand(2, 1, 70, 70, dtype=torch.float64, requires_grad=True)
    y = torch.rand(2, 1, 70, 70, dtype=torch.float64)
    out = warp(x, compose(affine(x, zoom, 0, 0, zoom, 3.3, 0), draw_rotate(x)))
    (back,) = torch.autograd.grad(out, x, y)
    assert (out * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)


# Where nothing may be read back.


@pytest.mark.parametrize("height, width", [(16, 16), (9, 33), (24, 12)])
@pytest.mark.parametrize("zoom", [0.15, 1.0, 2.5])
def test_one_period_shows_what_the_window_shows(height, width, zoom):
    # Copied and resampled images, some of which reach beyond the reflect padding.
    torch.manual_seed(7)
    x = torch.rand(24, 2, height, width, dtype=torch.float64, requires_grad=True)
    matrix = compose(draw_scale(x, 0.5), draw_rotate(x, 0.5), draw_translate(x, 0.5, 4), affine(x, zoom, 0, 0, zoom))
    matrix[::4] = affine(x, -1, 0, 0, 1, 3, 2)[::4]
    y = torch.rand_like(x)
    outs = [warp(x, matrix), warp_unread(x, source_of(x, matrix))]
    (g0, g1) = (torch.autograd.grad(out, x, y, create_graph=True)[0] for out in outs)
    assert torch.allclose(*outs, atol=1e-10, rtol=0)
    assert torch.allclose(g0, g1, atol=1e-10, rtol=0)
    assert outs[0][0].abs().sum() > 0
