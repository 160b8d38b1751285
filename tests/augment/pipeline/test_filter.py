"""Filter, noise and cutout: laws of the parameters and closed forms of what they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from leangan.augment.pipeline import band_1, band_2, band_3, band_4, cutout, noise
from leangan.augment.pipeline.corruption import add_noise, cut_out, hole_at
from leangan.augment.pipeline.filter import amplify, band_gains
from leangan.augment.pipeline.laws import BAND, CUTOUT, NOISE
from leangan.augment.pipeline.wavelet import octave_filters, octave_matrices

MANY = torch.zeros(4000, 3, 16, 16)
POWER = np.array([10, 1, 1, 1]) / 13


def response(omega: float) -> np.ndarray:
    """Frequency response of the four bands, lowest first.

    The half-band filter |H|^2 / 2 with two vanishing moments is L(w) = cos^4(w/2) (1 + 2 sin^2(w/2)).
    """

    def low(w):
        return np.cos(w / 2) ** 4 * (1 + 2 * np.sin(w / 2) ** 2)

    a, b, c = low(omega), low(2 * omega), low(4 * omega)
    return np.array([a * b * c, a * b * (1 - c), a * (1 - b), 1 - a])


@pytest.mark.parametrize("size", [9, 64])
def test_cosines_are_eigenvectors_with_the_response_of_each_band(size):
    # A cosine with extrema on both end pixels is its own reflection, so a symmetric filter only scales it.
    matrices = octave_matrices(size, torch.float64, torch.device("cpu")).numpy()
    for k in range(size):
        omega = np.pi * k / (size - 1)
        cosine = np.cos(omega * np.arange(size))
        np.testing.assert_allclose(matrices @ cosine, np.outer(response(omega), cosine), atol=1e-9)


def test_amplify_filters_both_axes():
    size, omega_x, omega_y = 32, np.pi * 5 / 31, np.pi * 20 / 31
    i = np.arange(size)
    wave = np.outer(np.cos(omega_y * i), np.cos(omega_x * i))
    gains = np.array([0.7, 1.5, 2.0, 0.3])
    out = amplify(torch.tensor(wave)[None, None], torch.tensor(gains)[None])[0, 0].numpy()
    factor = (gains @ response(omega_x)) * (gains @ response(omega_y))
    np.testing.assert_allclose(out, factor * wave, atol=1e-9)


def test_gains_of_one_are_the_identity():
    torch.manual_seed(0)
    x = torch.rand(4, 3, 16, 24)
    assert torch.equal(amplify(x, torch.ones(4, 4)), x)


@pytest.mark.parametrize("band", range(4))
def test_band_gain_law_and_preserved_power(band):
    torch.manual_seed(band)
    x = torch.zeros(()).expand(100_000, 3, 8, 8)
    gains = band_gains(x, **{f"band_{band + 1}": BAND(x)}).double().numpy()
    others = np.delete(gains, band, 1)
    assert stats.kstest(np.log2(gains[:, band] / others[:, 0]), "norm").pvalue > 1e-3
    np.testing.assert_allclose(others, others[:, :1].repeat(3, 1))
    np.testing.assert_allclose(gains**2 @ POWER, 1, rtol=1e-5)


def test_gains_of_all_bands_are_those_of_one_after_the_other():
    torch.manual_seed(4)
    x = torch.zeros(50, 3, 8, 8, dtype=torch.float64)
    numbers = {f"band_{i}": BAND(x, 0.7) for i in (1, 2, 3, 4)}
    expected = torch.stack([band_gains(x, **{name: number}) for name, number in numbers.items()]).prod(0)
    assert torch.allclose(band_gains(x, **numbers), expected)


def test_band_gain_law_measured_from_images():
    # Band 1 alone passes a constant (omega = 0), band 4 alone a checkerboard (omega = pi); both axes are filtered.
    torch.manual_seed(2)
    constant = torch.ones(4000, 1, 8, 8, dtype=torch.float64)
    checkered = constant * (1 - 2 * ((torch.arange(8)[:, None] + torch.arange(8)) % 2))
    for transform, image, power in ((band_1, constant, 10 / 13), (band_4, checkered, 1 / 13)):
        gain = (transform(image) / image).mean((1, 2, 3)).sqrt().numpy()
        # gain = g / sqrt(1 + power (g^2 - 1)), so that g^2 = gain^2 (1 - power) / (1 - power gain^2).
        drawn = gain**2 * (1 - power) / (1 - power * gain**2)
        assert stats.kstest(np.log2(drawn) / 2, "norm").pvalue > 1e-3


@pytest.mark.parametrize("transform, band", [(band_1, 0), (band_2, 1), (band_3, 2), (band_4, 3)])
def test_each_band_is_amplified_by_its_own_transform(transform, band):
    # At the frequency a band passes best, its transform has the largest effect.
    omega = np.linspace(0, np.pi, 64)
    k = np.array([response(w) for w in omega]).argmax(0)[band]
    torch.manual_seed(3)
    wave = torch.cos(torch.tensor(omega[k]) * torch.arange(64)).expand(300, 1, 64, 64)
    change = {f: (f(wave) - wave).square().mean() for f in (band_1, band_2, band_3, band_4)}
    assert max(change, key=change.get) is transform


def test_filters_add_up_to_the_identity_and_have_the_energy_of_their_response():
    filters = octave_filters().numpy()
    delta = np.zeros(filters.shape[1])
    delta[len(delta) // 2] = 1
    np.testing.assert_allclose(filters.sum(0), delta, atol=1e-12)
    # Parseval; the mean over a full period of a polynomial in cos(omega) is exact on a uniform grid.
    responses = np.array([response(w) for w in 2 * np.pi * np.arange(128) / 128])
    np.testing.assert_allclose((filters**2).sum(1), (responses**2).mean(0), atol=1e-9)


def test_noise_sigma_law():
    torch.manual_seed(2)
    assert stats.kstest(NOISE(torch.zeros(()).expand(100_000, 3, 8, 8))[:, 0].abs() / 0.1, "halfnorm").pvalue > 1e-3
    # Each image's sigma from its 3 * 128 * 128 pixels, to 0.3 %.
    sigma = noise(torch.zeros(600, 3, 128, 128)).std((1, 2, 3))
    assert stats.kstest(sigma / 0.1, "halfnorm").pvalue > 1e-3


def test_noise_is_white_and_gaussian():
    torch.manual_seed(3)
    x = torch.rand(2, 3, 64, 64)
    noise = add_noise(x, torch.tensor([0.0, 0.25])) - x
    assert not noise[0].any()
    assert stats.kstest(noise[1].flatten() / 0.25, "norm").pvalue > 1e-3
    assert stats.pearsonr(noise[1, 0].flatten(), noise[1, 1].flatten()).pvalue > 1e-3
    assert stats.pearsonr(noise[1, :, :, 1:].flatten(), noise[1, :, :, :-1].flatten()).pvalue > 1e-3


def test_hole_covers_each_pixel_as_often_as_a_uniform_centre_says():
    torch.manual_seed(4)
    holes = cutout(MANY + 1)[:, 0] == 0
    centre = (np.arange(16) + 0.5) / 16
    covered = np.minimum(centre + 0.25, 1) - np.maximum(centre - 0.25, 0)
    expected = np.outer(covered, covered)
    spread = np.sqrt(expected * (1 - expected) / len(holes))
    assert (np.abs(holes.double().mean(0).numpy() - expected) < 4.5 * spread).all()


def test_hole_is_a_square_of_half_the_side():
    torch.manual_seed(5)
    holes = cutout(MANY + 1)[:, 0] == 0
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == 8
    # All 8 pixel centres of a row of holes lie inside where its centre is between pixel 3.5 and 12.5 of 16.
    assert stats.binomtest(int((rows == 8).sum()), len(rows), 9 / 16).pvalue > 1e-3


def test_cut_out_zeroes_the_hole_and_nothing_else():
    torch.manual_seed(6)
    x = torch.rand(8, 3, 16, 16) + 1
    holes = hole_at(x, CUTOUT(x))
    out = cut_out(x, holes)
    assert torch.equal(out == 0, holes.expand_as(x))
    assert torch.equal(out[~holes.expand_as(x)], x[~holes.expand_as(x)])
