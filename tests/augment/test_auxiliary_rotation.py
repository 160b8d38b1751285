"""Auxiliary rotation against its definition (arXiv:1811.11212, eq. 3)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from leangan.augment.auxiliary_rotation import Method, rotated
from leangan.models.stylegan2.discriminator import Discriminator
from leangan.plugins.method import DStep, GStep
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d, step_of_g


class Flat(Discriminator):
    """D whose last hidden layer is the image itself."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.width = 12

    def features(self, x):
        return x.flatten(1)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    method, D = Method(), Flat()
    method.prepare(type("Networks", (), {"D": D}))
    return method, D


def contexts(D, x_real, x_fake, transform=lambda x, role: x) -> tuple[DStep, GStep]:
    """A D step and a G step; what D made of the images is of no use to auxiliary rotation."""
    unused = torch.full_like(x_fake, torch.nan)
    common = {"G": None, "D": D, "transform": transform, "cur_nimg": 0, "z": unused, "c_fake": None}
    fakes = {"x_fake": x_fake, "t_fake": unused, "d_fake": unused}
    reals = {"c_real": None, "x_real": x_real, "t_real": unused, "d_real": unused}
    return step_of_d(**common, **fakes, **reals), step_of_g(**common, **fakes, reals=lambda: (unused, None))


def test_images_are_turned_like_matrices():
    x = torch.randn(3, 2, 5, 5)
    expected = np.concatenate([np.rot90(x.numpy(), turn, axes=(2, 3)) for turn in range(4)])
    np.testing.assert_array_equal(rotated(x).numpy(), expected)


def test_losses_are_5_and_10_times_the_cross_entropy_of_reals_and_fakes(parts):
    method, D = parts
    x_real, x_fake = torch.randn(2, 6, 3, 2, 2).unbind()
    weight, bias = (t.detach().double().numpy() for t in (method.output.weight, method.output.bias))
    d_step, g_step = contexts(D, x_real, x_fake)
    for factor, x, loss in ((5, x_real, method.d_loss(d_step)), (10, x_fake, method.g_loss(g_step))):
        terms = []
        for turn in range(4):
            features = np.rot90(x.double().numpy(), turn, axes=(2, 3)).reshape(len(x), -1)
            logits = features @ weight.T / np.sqrt(12) + bias
            terms.append(-log_softmax(logits, axis=1)[:, turn])
        assert loss.item() == pytest.approx(factor * np.mean(terms), rel=1e-5)


def test_rotated_images_pass_the_transform_in_their_role(parts):
    method, D = parts
    seen = []

    def transform(x, role):
        seen.append((role, x.shape))
        return torch.zeros_like(x)

    d_step, g_step = contexts(D, torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2), transform)
    # Images of zeros say nothing of their turn.
    assert method.d_loss(d_step).item() == pytest.approx(5 * np.log(4), rel=1e-5)
    assert method.g_loss(g_step).item() == pytest.approx(10 * np.log(4), rel=1e-5)
    assert seen == [("real", (8, 3, 2, 2)), ("fake_g", (8, 3, 2, 2))]


def test_the_four_outputs_learn_in_d_steps_alone(make_spec, make_reals):
    torch.manual_seed(0)
    spec = make_spec(plugins=[("auxiliary_rotation", {})])
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    output = steps.method.methods["auxiliary_rotation"].output
    assert output.weight.shape == (4, steps.D.output.weight.shape[1])
    start = output.weight.clone()
    steps.g_step(0, 0)
    assert torch.equal(output.weight, start)
    steps.d_step(0, 1)
    assert not torch.isclose(output.weight, start).all(dim=1).any()


def test_biggan_has_a_normalised_layer_for_it(make_spec, make_reals):
    """Of the kind of its D's output, which learns with D while reals and fakes are turned."""
    torch.manual_seed(0)
    hyper = {"g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "batch": 8}
    spec = make_spec(plugins=[("auxiliary_rotation", {})], of="tiny-biggan", hyper=hyper)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    output = steps.method.methods["auxiliary_rotation"].output
    weight = output.parametrizations.weight.original
    assert weight.shape == (4, 16)
    start = weight.clone()
    for iteration in range(20):
        steps.g_step(iteration * 8, iteration)
        steps.d_step(iteration * 8, iteration)
    assert not torch.isclose(weight, start).all(dim=1).any()
    assert np.linalg.norm(output.weight.detach().numpy(), 2) == pytest.approx(1, rel=0.05)
    assert all(np.isfinite(value) for value in steps.tally.means().values())


def test_it_is_skipped_with_labels(make_spec):
    plugins = [("auxiliary_rotation", {})]
    assert refusal(make_spec(plugins=plugins)) is None
    assert "without class labels" in refusal(make_spec(plugins=plugins, conditional=True))[1]
