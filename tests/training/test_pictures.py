"""Pictures of a run: gradients against closed forms, interpolations between known ends; training ignores both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from leangan.plugins.networks import build_networks
from leangan.plugins.pair import Generator
from leangan.training import loop
from leangan.training.gradients import magnitudes, save_gradients
from leangan.training.samples import COLUMNS, ROWS, interpolate, save_strips


class LinearD(nn.Module):
    """D(x) = <w, x>, whose gradient is w wherever it is taken."""

    def __init__(self, w: torch.Tensor):
        super().__init__()
        self.register_buffer("w", w)

    def forward(self, x: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        return (self.w * x).sum((1, 2, 3))[:, None]


class Painter(Generator):
    """G(z, c): one colour per image, linear in z; class 1 is darker."""

    z_dim, c_dim = 3, 2

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.2))

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        colour = self.gain * z - (0 if c is None else 0.5 * c[:, 1:])
        return colour[:, :, None, None].expand(-1, -1, 4, 4)


def plain(x: torch.Tensor, role: str) -> torch.Tensor:
    return x


def test_gradients_of_a_linear_d_are_its_weights():
    torch.manual_seed(0)
    w, x = torch.randn(3, 4, 4), torch.randn(5, 3, 4, 4)
    length = (w[0] ** 2 + w[1] ** 2 + w[2] ** 2).sqrt()
    found = magnitudes(LinearD(w), plain, x, None)
    assert found.shape == (5, 1, 4, 4)
    torch.testing.assert_close(found, (length / length.max()).expand(5, 1, 4, 4))
    # D sees 3 x mirrored: the chain rule mirrors the weights back, and the factor cancels.
    mirrored = magnitudes(LinearD(w), lambda x, role: 3 * x.flip(3), x, None)
    torch.testing.assert_close(mirrored, found.flip(3))


def test_gradients_are_taken_at_the_images_as_g_is_shown_them():
    roles = []

    def square(x: torch.Tensor, role: str) -> torch.Tensor:
        roles.append(role)
        return x**2 / 2

    torch.manual_seed(1)
    x = torch.randn(4, 1, 3, 3)
    # d/dx sum(x^2 / 2) = x, divided by the largest of each image.
    expected = x.abs() / x.abs().amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(magnitudes(LinearD(torch.ones(1, 3, 3)), square, x, None), expected)
    assert roles == ["fake_g"]


@pytest.mark.parametrize("w", [0.0, float("nan")])
def test_a_flat_or_broken_d_has_no_gradient(w):
    assert not magnitudes(LinearD(torch.full((1, 2, 2), w)), plain, torch.ones(2, 1, 2, 2), None).any()


def test_the_picture_has_images_above_gradients(tmp_path):
    w = torch.zeros(3, 4, 4)
    w[:, 1, 2], w[0, 3, 3] = 1.0, 3**0.5 / 2  # lengths sqrt(3) and half of it
    D = LinearD(w).train()
    save_gradients(tmp_path / "g.png", Painter(), D, plain, None, 10, 0)
    assert D.training
    picture = np.asarray(Image.open(tmp_path / "g.png"))
    assert picture.shape == (2 * 4, 8 * 4, 3)
    fakes, gradients = picture.reshape(2, 4, 8, 4, 3)
    assert (fakes == fakes[:1, :, :1]).all() and len(np.unique(fakes[0, :, 0], axis=0)) == 8
    expected = np.zeros((4, 4))
    expected[1, 2], expected[3, 3] = 255, 128  # 2 m - 1 in [-1, 1] rounded to 8 bits
    assert (gradients == expected[:, None, :, None]).all()


@pytest.mark.parametrize("c", [None, torch.eye(2)[[0, 1, 1]]])
def test_interpolations_in_z_are_straight_and_keep_their_class(c):
    torch.manual_seed(0)
    G, (first, last) = Painter(), torch.randn(2, 3, 3)
    strips = interpolate(G, first, last, c)
    assert strips.shape == (3, COLUMNS, 3, 4, 4)
    torch.testing.assert_close(strips[:, 0], G(first, c))
    torch.testing.assert_close(strips[:, -1], G(last, c))
    share = 5 / (COLUMNS - 1)
    torch.testing.assert_close(strips[:, 5], (1 - share) * G(first, c) + share * G(last, c))


def test_interpolations_of_stylegan2_lie_in_its_space_of_styles(make_spec):
    torch.manual_seed(0)
    _, G, _, _ = build_networks(make_spec("none"), 3, 0)
    G.eval()
    first, last = torch.randn(2, 2, G.z_dim)
    with torch.no_grad():
        strips = interpolate(G, first, last, None)
        # One image at a time, with the same noise; the middle is the mean of two styles.
        torch.testing.assert_close(strips[0, 0], G(first[:1], None, noise_mode="const")[0])
        torch.testing.assert_close(strips[1, -1], G(last[1:], None, noise_mode="const")[0])
        share = 4 / (COLUMNS - 1)
        ws = (1 - share) * G.mapping(first, None) + share * G.mapping(last, None)
        middle = G.synthesis(ws[:, None].expand(-1, G.num_ws, -1), "const")
    torch.testing.assert_close(strips[:, 4], middle, rtol=1e-4, atol=1e-5)


def test_strips_are_one_row_each(tmp_path):
    save_strips(tmp_path / "s.png", Painter(), torch.eye(2)[[0, 1] * ROWS], 0)
    picture = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    assert picture.shape == (ROWS * 4, COLUMNS * 4, 3)
    colours = picture[::4, ::4]
    # Straight lines of colour: equal steps but for the rounding to 8 bits.
    steps = np.diff(colours, axis=1)
    assert (np.ptp(steps, axis=1) <= 1).all() and np.abs(colours[:, 0] - colours[:, -1]).max() > 10


def trained(spec, reals, folder: Path) -> dict[str, object]:
    loop.train(spec, reals, folder, torch.device("cpu"), 0.032, 1e9, lambda: False)
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    log = [{k: v for k, v in line.items() if k not in ("images_per_s", "seconds")} for line in lines]
    return {"log": log, **{path.name: path.read_bytes() for path in folder.glob("snapshots/*")}}


@pytest.mark.parametrize("method, backbone", [("ada", "tiny"), ("pagan", "tiny"), ("diffaugment", "tiny-biggan")])
def test_pictures_change_nothing_in_training(make_spec, make_reals, tmp_path, monkeypatch, method, backbone):
    """PA-GAN's D draws random bits, BigGAN's has spectral norms that each step of training moves."""
    biggan = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 8, 8], "d_down": 2}
    hyper = biggan if backbone == "tiny-biggan" else {}
    length = {"total_kimg": 0.064, "snapshot_kimg": 0.032}
    spec = make_spec(method, of=backbone, hyper=hyper, conditional=backbone == "tiny-biggan", **length)
    with_pictures = trained(spec, make_reals(conditional=spec.conditional), tmp_path / "with")
    assert sorted(path.name for path in (tmp_path / "with" / "samples").iterdir()) == [
        *("000000.032.png", "000000.064.png", "gradients-000000.032.png", "gradients-000000.064.png"),
        *("reals.png", "strips.png"),
    ]
    for name in ("save_gradients", "save_strips"):
        monkeypatch.setattr(loop, name, lambda *_, **__: None)
    assert trained(spec, make_reals(conditional=spec.conditional), tmp_path / "without") == with_pictures
