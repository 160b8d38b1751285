"""Which transforms leak, in theory and in training (arXiv:2006.06676, sec. 2.2 and appendix C).

A transform that acts with probability p maps the distribution of images by a linear operator. If it can be
inverted, the augmented images determine the images. With the identity, an element of a group drawn by the law mu
has the eigenvalues 1 - p + p * phi(k), where phi is mu's characteristic function.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import linalg, stats
from torch import nn

from leangan.augment.pipeline import flip_x, hue, luma_flip, noise, rotate, rotate90, scale
from leangan.augment.pipeline.blit import blit
from leangan.augment.pipeline.color import color
from leangan.augment.pipeline.geometry import geometry
from leangan.augment.pipeline.laws import BRIGHTNESS, HUE, ROTATE, TRANSLATE_WHOLE
from leangan.augment.single_transform import Method as SingleTransform
from leangan.data.readers.procedural import Procedural
from leangan.metrics.extractors.shape_attributes import attributes
from leangan.metrics.formulas.leak import leak_rates
from leangan.training.ema import Ema
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer

MANY = 4000


@pytest.fixture(scope="module")
def shapes() -> tuple[Procedural, torch.Tensor]:
    """The procedural set and its first 600 images at 32 pixels, in [-1, 1]."""
    source = Procedural("", "", count=600)
    images = np.stack([np.asarray(source.image(i).resize((32, 32), Image.Resampling.BOX)) for i in range(600)])
    return source, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


# Operators.


def transitions(transform, states: torch.Tensor, p: float) -> np.ndarray:
    """How often the transform takes image i of `states` [S, C, H, W] to image j, counted over MANY draws."""
    out = transform(states.repeat_interleave(MANY, 0), p)
    distance = (out[:, None] - states).abs().amax((2, 3, 4))
    assert distance.min(1).values.max() < 1e-5, "an image that is none of the states"
    arrived = distance.argmin(1).view(len(states), MANY)
    return np.stack([np.bincount(row, minlength=len(states)) for row in arrived.numpy()]) / MANY


def orbit(transform: str) -> torch.Tensor:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 4, 4)
    if transform == "rotate90":
        return torch.cat([image.rot90(turns, (2, 3)) for turns in range(4)])
    return torch.cat([image, image.flip(3) if transform == "flip_x" else image - 2 * image.mean(1, keepdim=True)])


@pytest.mark.parametrize("p", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("transform", [flip_x, rotate90, luma_flip])
def test_uniform_choice_within_a_group_is_invertible_below_p_1(transform, p):
    states = orbit(transform.__name__)
    counted = transitions(transform, states, p)
    size = len(states)
    # Kept with 1 - p, else any element with equal probability; eigenvalues 1, and 1 - p for all others.
    law = (1 - p) * np.eye(size) + p / size
    assert np.allclose(np.sort(linalg.svdvals(law))[:-1], 1 - p)
    assert (np.abs(counted - law) <= 4.5 * np.sqrt(law * (1 - law) / MANY)).all()
    # A singular value moves by no more than the error's norm, of which 0.05 is a safe bound at MANY draws.
    error = np.linalg.norm(counted - law, 2)
    assert error < 0.05
    assert abs(linalg.svdvals(counted).min() - (1 - p)) <= error + 1e-12


def eigenvalue(draws: torch.Tensor, k: float) -> float:
    """Real part of E[exp(i k draw)]; the laws are symmetric. Standard error at most MANY^-1/2 = 0.016."""
    return float(torch.cos(k * draws.double()).mean())


@pytest.mark.parametrize("p", [0.5, 0.8, 1.0])
def test_uniform_rotations_are_singular_at_p_1_only(p):
    torch.manual_seed(1)
    x = torch.zeros(MANY, 3, 8, 8)
    turn = geometry(x, rotate=ROTATE(x, p))
    red, green, blue = color(x, hue=HUE(x, p))[:, :3, 0].unbind(1)
    angles = [
        torch.atan2(turn[:, 1, 0], turn[:, 0, 0]),
        torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue),  # of what red becomes
    ]
    for angle in angles:
        for k in (1, 2, 5):
            assert eigenvalue(angle, k) == pytest.approx(1 - p, abs=0.07)


def test_normal_shifts_are_invertible_even_at_p_1():
    torch.manual_seed(2)
    x = torch.zeros(MANY, 3, 1, 1)
    shift = color(x, brightness=BRIGHTNESS(x))[:, 0, 3]
    for k in (1, 4, 8):
        expected = math.exp(-((k * 0.2) ** 2) / 2)
        assert expected > 0.25
        assert eigenvalue(shift, k) == pytest.approx(expected, abs=0.07)


def test_uniform_translations_are_singular_from_p_0_84_on():
    # Whole shifts of -4 to 4 pixels, the ends half as likely: phi(k) = sin(4 k) cot(k / 2) / 8. For large images
    # it becomes sinc, and 0.84 becomes 0.82.
    k = np.linspace(1e-3, np.pi, 4000)
    phi = np.sin(4 * k) / np.tan(k / 2) / 8
    lowest = k[phi.argmin()]
    assert 1 / (1 - phi.min()) == pytest.approx(0.837, abs=0.001)  # p where 1 - p + p * min(phi) is 0
    torch.manual_seed(3)
    x = torch.zeros(4 * MANY, 1, 32, 32)
    shift = blit(x, translate_whole=TRANSLATE_WHOLE(x))[:, 0, 2]
    assert eigenvalue(shift, lowest) == pytest.approx(phi.min(), abs=0.035)
    assert eigenvalue(shift, math.pi / 4) == pytest.approx(0, abs=0.035)


# Training.


def play(p: float, steps: int = 100) -> torch.Tensor:
    """The law [4] that G learns over the orientations of an image, of which the reals show the first only.

    G is the law itself, so that its loss is an exact sum over orientations; D a small network with R1, which sees
    every image through `rotate90` at p.
    """
    torch.manual_seed(0)
    image = torch.randn(1, 1, 4, 4)
    views = torch.cat([image.rot90(turns, (2, 3)) for turns in range(4)]).repeat_interleave(32, 0)
    real = torch.tensor([1.0, 0, 0, 0])
    logits = nn.Parameter(torch.zeros(4))
    D = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    opt_g = torch.optim.Adam([logits], lr=0.05, betas=(0.0, 0.99))
    opt_d = torch.optim.Adam(D.parameters(), lr=0.01, betas=(0.0, 0.99))

    def mean(law: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return (law * values.view(4, -1).mean(1)).sum()

    for _ in range(steps):
        loss_g = mean(logits.softmax(0), F.softplus(-D(rotate90(views, p))))
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()

        x = views.requires_grad_()
        d = D(rotate90(x, p))
        (slope,) = torch.autograd.grad(d.sum(), x, create_graph=True)
        loss_d = mean(real, F.softplus(-d)) + mean(logits.softmax(0).detach(), F.softplus(D(rotate90(views, p))))
        opt_d.zero_grad()
        (loss_d + 0.05 * mean(real, slope.square().sum((1, 2, 3)))).backward()
        opt_d.step()
    return logits.softmax(0).detach()


def test_the_game_recovers_the_orientation_below_p_1():
    assert 1 - play(0.6)[0] < 0.15  # 0.75 at the start


def test_the_game_cannot_know_the_orientation_at_p_1():
    # Nothing but noise moves G from where it starts: 100 steps of +-0.05 shift a logit by about 0.5.
    assert 0.5 < 1 - play(1.0)[0] < 0.95


@pytest.mark.long
@pytest.mark.parametrize("p, lowest, highest", [(0.5, 0.0, 0.02), (1.0, 0.2, 1.0)])
def test_a_gan_draws_turned_shapes_at_p_1_only(p, lowest, highest, make_spec, shapes):
    """A small StyleGAN2 behind blitting, whose quarter turns put half of what D sees outside the reals' range.

    At p = 1 D cannot prefer one of the orientations, and any mixture is as good to G. A GAN wanders: at p = 0.5 single
    snapshots show up to 5 % of the shapes turned, which is gone 50 steps later. So the median of five snapshots counts,
    that many steps apart; the average of weights has a half-life of 31.
    """
    _, x = shapes
    x = F.avg_pool2d(x, 2)
    images = ((x + 1) * 127.5).round().to(torch.uint8).numpy()
    hyper = {"batch": 32, "fmap_base": 128, "fmap_max": 32, "z_dim": 32, "w_dim": 32, "r1_interval": 16}
    hyper |= {"lr_g": 0.005, "lr_d": 0.005, "mirror": False}
    spec = make_spec("da", hyper, plugins=[("da", {"p": p, "categories": "blit"})])
    data = Reals(images, None, 0, list(range(len(images))), [], False, 0, torch.device("cpu"))
    torch.manual_seed(0)
    steps = Trainer(spec, data, torch.device("cpu"))
    ema = Ema(steps.G, 1.0, None, 0)
    z, rates = torch.randn(500, 32), []
    for iteration in range(700):
        cur_nimg = 32 * iteration
        seed_step(0, cur_nimg)
        steps.g_step(cur_nimg, iteration)
        ema.update(steps.G, cur_nimg, 32)
        steps.d_step(cur_nimg, iteration)
        if iteration + 1 in range(500, 701, 50):
            with torch.no_grad():
                rates.append(leak_rates(ema.module(z, None), x))
    orientation, hue_rate = (np.median([each[name] for each in rates]) for name in ("orientation", "hue"))
    assert lowest <= orientation <= highest
    assert hue_rate < 0.1, "G does not draw clean shapes: train longer"


# The measure.


def test_attributes_are_those_the_shapes_were_drawn_with(shapes):
    source, x = shapes
    measured = {name: values.numpy() for name, values in attributes(x).items()}
    assert np.abs(measured["orientation"] - source.orientation).max() < 0.02
    assert np.abs((measured["hue"] - source.hue + 0.5) % 1 - 0.5).max() < 0.01
    # Twice the standard deviation of an ellipse is its half axis; of a rectangle it is 2 / sqrt(3) times that.
    factor = np.where(source.labels == 1, 2 / 3**0.5, 1.0)
    assert np.abs(measured["scale"] / (factor * source.scale) - 1).max() < 0.03


def test_a_background_not_quite_grey_moves_no_attribute(shapes):
    _, x = shapes
    tint = torch.tensor([0.03, 0.0, 0.0])[:, None, None]
    clean, tinted = attributes(x), attributes(x + tint)
    assert (tinted["scale"] / clean["scale"] - 1).abs().max() < 0.02
    assert torch.sin(tinted["orientation"] - clean["orientation"]).abs().max() < 0.02
    assert ((tinted["hue"] - clean["hue"] + 0.5) % 1 - 0.5).abs().max() < 0.02


def test_leak_rates_are_the_shares_that_leave_the_range(shapes):
    _, x = shapes
    torch.manual_seed(4)
    for transform, name, share in (
        (rotate90, "orientation", 1 / 2),  # turned by 90 or 270 degrees
        (rotate, "orientation", 3 / 4),  # pi / 4 of the axis' pi are in the range
        (hue, "hue", 2 / 3),
    ):
        for p in (0.0, 0.4, 1.0):
            leaked = round(leak_rates(transform(x, p), x)[name] * len(x))
            if p == 0:
                assert leaked == 0
            assert stats.binomtest(leaked, len(x), share * p).pvalue > 1e-3


@pytest.mark.parametrize("transform, name, share", [("rotate90", "orientation", 1 / 2), ("hue", "hue", 2 / 3)])
def test_a_single_transform_acts_alone_with_its_probability(shapes, transform, name, share):
    _, x = shapes
    torch.manual_seed(6)
    method = SingleTransform(transform, p=0.6)
    assert method.title == f"{transform}, p = 0.6"
    rates = leak_rates(method.transform(x, "fake_g"), x)
    assert stats.binomtest(round(rates.pop(name) * len(x)), len(x), 0.6 * share).pvalue > 1e-3
    assert max(rates.values()) < 0.01
    with pytest.raises(ValueError, match="transform 'rotate9'.*rotate90"):
        SingleTransform("rotate9")


def test_what_changes_no_attribute_does_not_leak(shapes):
    # The orientations lie evenly on both sides of the x-axis; faint noise moves no attribute by much.
    _, x = shapes
    torch.manual_seed(5)
    assert max(leak_rates(flip_x(x), x).values()) < 0.01
    assert max(leak_rates(noise(x, strength=0.05), x).values()) < 0.03
    assert leak_rates(scale(x, strength=3.0), x)["scale"] > 0.3


def test_gray_images_have_no_attributes():
    with pytest.raises(ValueError, match="1 channels"):
        attributes(torch.zeros(2, 1, 8, 8))
