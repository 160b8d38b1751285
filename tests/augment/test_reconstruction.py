"""Reconstruction against numpy: which maps and pixels meet, and with what weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.augment.reconstruction import NOTES, Decoder, Method, quarter
from leangan.core.spec import RunSpec
from leangan.plugins import pair
from leangan.plugins.method import Networks
from leangan.plugins.notes import collected
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d


class Halving(nn.Module):
    """Means of 2 x 2 pixels, times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * F.avg_pool2d(x, 2)


class Shown(pair.Discriminator):
    """A D whose maps are its image, 32 pixels, at 16, 8 and 4 pixels: as it is, three times, and six times."""

    def __init__(self) -> None:
        super().__init__()
        self.resolution, self.channels, self.width = 32, 3, 3
        self.blocks = nn.Sequential(Halving(1.0), Halving(3.0), Halving(2.0))

    def features(self, x: Tensor) -> Tensor:
        return self.blocks(x).mean(dim=(2, 3))

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        return features.mean(dim=1, keepdim=True)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def prepared(weight: float = 1.0) -> tuple[Method, Shown]:
    method, D = Method(weight), Shown()
    method.prepare(Networks(nn.Identity(), D, spec=None))
    return method, D


def test_quarters():
    x = torch.randn(2, 3, 6, 6)
    expected = [x[:, :, :3, :3], x[:, :, :3, 3:], x[:, :, 3:, :3], x[:, :, 3:, 3:]]
    assert all(torch.equal(quarter(x, torch.tensor(k)), part) for k, part in enumerate(expected))


def test_the_layers_of_a_decoder():
    """From 8 x 8 maps to 128 x 128 as in the release: 128, 64, 64, 32 maps; to the image at most."""
    decoder = Decoder(512, 8, height=256, channels=3)
    blocks = list(decoder)[:-2]
    shapes = [block.conv0.weight.shape[:2] for block in blocks]
    assert shapes == [(2 * 128, 512), (2 * 64, 128), (2 * 64, 64), (2 * 32, 64)]
    assert not any(block.conv1 for block in blocks)
    image = decoder(torch.randn(2, 512, 8, 8))
    assert image.shape == (2, 3, 128, 128) and 0 < image.abs().max() < 1
    assert Decoder(5, 4, height=16, channels=1)(torch.randn(2, 5, 4, 4)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_the_loss_by_hand(weight: float):
    """Decoders that give their maps back, so that the loss is the distance of known images."""
    method, D = prepared(weight)
    method.decoders = nn.ModuleList([nn.Identity(), nn.Identity()])
    real, fake = torch.randn(4, 3, 32, 32), torch.full((4, 3, 32, 32), torch.nan)
    with collected() as noted:
        D.judge_both((real, None), (fake, None))
    image = real.numpy()
    torch.manual_seed(5)
    loss = method.d_loss(step_of_d(noted_real=noted, t_real=real)).item()
    torch.manual_seed(5)
    number = int(torch.randint(4, ()))
    rows, columns = (slice(16 * k, 16 * k + 16) for k in divmod(number, 2))
    means = {side: image.reshape(4, 3, side, 32 // side, side, 32 // side).mean((3, 5)) for side in (4, 8)}
    part = image[:, :, rows, columns].reshape(4, 3, 4, 4, 4, 4).mean((3, 5))
    shown = 3 * part  # the quarter of the maps at 8 pixels has 4, each the mean of 4 x 4 pixels
    expected = np.abs(6 * means[4] - means[4]).mean() + np.abs(shown - part).mean()
    assert loss == pytest.approx(weight * expected, rel=1e-5)


def test_each_quarter_comes_as_often():
    method, D = prepared()
    method.decoders = nn.ModuleList([nn.Identity(), nn.Identity()])
    corners = torch.zeros(1, 3, 32, 32)
    for k, value in enumerate((1.0, 2.0, 4.0, 8.0)):
        row, column = divmod(k, 2)
        corners[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = value
    with collected() as noted:
        D(corners, None)
    ctx = step_of_d(noted_real=noted, t_real=corners)
    whole = 5 * corners.mean()
    found = [round((method.d_loss(ctx) - whole).item() / 2) for _ in range(800)]
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [1, 2, 4, 8] and (abs(counts - 200) < 50).all()


def test_d_and_the_decoders_learn_and_the_reals_are_those_that_d_saw():
    method, D = prepared()
    t_real = torch.rand(4, 3, 32, 32)
    with collected() as noted:
        D.judge(t_real, None)
    method.d_loss(step_of_d(noted_real=noted, t_real=t_real)).backward()  # x_real is nan
    assert all(parameter.grad.any() for parameter in method.parameters() if parameter.ndim > 0)
    assert all(block.factor.grad for block in D.blocks)


def test_it_notes_the_last_two_maps_and_keeps_d_in_training():
    method, D = prepared()
    assert D.apart and D.training
    with collected() as noted:
        D(torch.rand(2, 3, 32, 32), None)
    assert [noted[name][0].shape[2] for name in NOTES] == [4, 8]
    assert [decoder[0].conv0.weight.shape[1] for decoder in method.decoders] == [3, 3]


def test_a_weight_below_0_is_refused():
    with pytest.raises(ValueError, match="weight is -1; 0 or more is allowed: change the method's `weight`"):
        Method(weight=-1)


@pytest.mark.parametrize("other", ["ada", "diffaugment"])
@pytest.mark.parametrize(
    "preset, hyper", [("tiny", {}), ("tiny-biggan", {"g_maps": [8] * 3, "d_maps": [8] * 3, "d_down": 2})]
)
def test_it_trains_with_augmentation(make_spec, make_reals, other: str, preset: str, hyper: dict):
    spec: RunSpec = make_spec(plugins=[(other, {}), ("reconstruction", {})], of=preset, hyper=hyper)
    assert refusal(spec) is None
    trainer = Trainer(spec, make_reals(), torch.device("cpu"))
    before = [parameter.clone() for parameter in trainer.method.parameters()]
    trainer.g_step(0, 0)
    trainer.d_step(0, 0)
    moved = [not torch.equal(*pair) for pair in zip(before, trainer.method.parameters(), strict=True)]
    assert all(moved) and len(moved) >= 8
