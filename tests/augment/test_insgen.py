"""InsGen against InfoNCE in numpy, on networks whose maps are known (arXiv:2106.04566)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from leangan.augment.insgen import Method
from tests.helpers.contrast import Colored, colors, features, images, info_nce, moved, prepared, unit, weights
from tests.helpers.steps import step_of_d, step_of_g

SECOND = {"real": 0.7, "fake_d": -1.3, "fake_g": 1.9}
"""By what the second view of an image is multiplied, by role."""


def second_view(x, role):
    return SECOND[role] * x


@pytest.mark.parametrize("real_weight, fake_weight", [(1.0, 1.0), (2.0, 0.0), (0.0, 3.0)])
def test_ds_loss_is_info_nce_of_reals_and_fakes_each_with_its_head_and_queue(make_spec, real_weight, fake_weight):
    torch.manual_seed(0)
    method, networks = prepared(
        Method(real_weight=real_weight, fake_weight=fake_weight, noise=0.4, temperature=0.3, momentum=0.8),
        make_spec,
        images=200,
    )
    W, W_key = weights(networks.D.state_dict()), weights(method.key_D.tensors())
    assert not np.array_equal(W["blocks.0.weight"], W_key["blocks.0.weight"])
    x_real, t_real, z = images(8), images(8), torch.randn(8, 3).double()
    t_fake = images(8)
    ctx = step_of_d(D=networks.D, G=Colored(), transform=second_view, x_real=x_real, t_real=t_real, z=z, t_fake=t_fake)
    torch.manual_seed(1)
    eps = torch.randn_like(z)
    views = {
        "real": (features(W, t_real), features(W_key, 0.7 * x_real)),
        "fake": (features(W, t_fake), features(W_key, -1.3 * Colored()(z + 0.4 * eps, None))),
    }
    expected, entered = {}, {}
    for kind, (query, key) in views.items():
        contrast = getattr(method, kind)
        head = weights(contrast.head.state_dict())
        key_head = moved(weights(contrast.key_head.tensors()), head, 0.8)
        k = unit(key_head, key)
        expected[kind] = info_nce(unit(head, query), k, contrast.queue.entries.numpy(), 0.3)
        entered[kind] = k if kind == "real" else unit(key_head, query)
    torch.manual_seed(1)
    loss = method.d_loss(ctx)
    assert loss.item() == pytest.approx(real_weight * expected["real"] + fake_weight * expected["fake"], rel=1e-9)
    for kind in views:  # of 20 entries the first are replaced
        np.testing.assert_allclose(getattr(method, kind).queue.entries[:8].numpy(), entered[kind], atol=1e-12)
    loss.backward()  # although the queue has moved on


def test_gs_loss_has_two_views_of_a_fake_and_learns_through_the_first(make_spec):
    """Of the method it moves the copy of the head of fakes, and nothing else."""
    torch.manual_seed(0)
    method, networks = prepared(Method(temperature=0.3, momentum=0.8), make_spec)
    x_fake, state = images(6), weights(method.state_dict())
    W, W_key = weights(networks.D.state_dict()), weights(method.key_D.tensors())
    head = weights(method.fake.head.state_dict())
    key_head = moved(weights(method.fake.key_head.tensors()), head, 0.8)
    k, queue = unit(key_head, features(W_key, 1.9 * x_fake)), method.fake.queue.entries.numpy()
    x = x_fake.clone().requires_grad_()
    t = -0.5 * x
    loss = method.g_loss(step_of_g(D=networks.D, transform=second_view, x_fake=x, t_fake=t))

    def by_hand(t):
        return 0.1 * info_nce(unit(head, features(W, t)), k, queue, 0.3)

    assert loss.item() == pytest.approx(by_hand(t), rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, x)
    for place in [(0, 0, 0, 0), (3, 2, 1, 3), (5, 1, 2, 0)]:
        step = torch.zeros_like(x_fake)
        step[place] = 1e-5
        slope = (by_hand(-0.5 * (x_fake + step)) - by_hand(-0.5 * (x_fake - step))) / 2e-5
        assert gradient[place].item() == pytest.approx(slope, rel=1e-5)
    for name, value in weights(method.fake.key_head.tensors()).items():
        np.testing.assert_allclose(value, key_head[name], atol=1e-12)
    rest = {key: value for key, value in weights(method.state_dict()).items() if "fake.key_head" not in key}
    assert all(np.array_equal(value, state[key]) for key, value in rest.items())


def test_the_key_of_a_fake_is_a_latent_nearby():
    torch.manual_seed(0)
    z = torch.randn(2000, 4)
    moves = (Method().near(z) - z) / 0.15
    assert kstest(moves.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(moves.flatten(), z.abs().flatten())[0, 1]) < 0.05
    assert colors(Colored()(z.double(), None)) == pytest.approx(z.numpy(), abs=1e-6)


def test_defaults_are_those_of_the_release():
    """github.com/genforce/insgen, commit 52bda7c."""
    release = {
        "real_weight": 1.0,  # lw_real_cl of cl_loss_weight in train.py
        "fake_weight": 1.0,  # lw_fake_cl
        "g_weight": 0.1,  # lw_fake_cl_on_g
        "noise": 0.15,  # the factor of delta_z in training/contrastive_loss.py
        "queue": 0.05,  # default_queue_size in train.py, for options rqs and fqs
        "temperature": 0.2,  # of DHead_kwargs and GHead_kwargs in train.py
        "momentum": 0.999,  # of the same, and of D_ema in training/training_loop.py
    }
    assert {name: getattr(Method(), name) for name in release} == release
