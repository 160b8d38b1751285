"""FakeCLR against InfoNCE in numpy, on networks whose maps are known (arXiv:2207.08630)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from leangan.augment._contrast import Queue
from leangan.augment.fakeclr import Method, by_iteration
from leangan.core.errors import ConfigError
from tests.helpers.contrast import Colored, features, images, info_nce, moved, prepared, unit, weights
from tests.helpers.steps import step_of_d, step_of_g


def context(networks, z, t_fake):
    return step_of_d(D=networks.D, G=Colored(), transform=lambda x, role: 0.7 * x, z=z, t_fake=t_fake)


def published(arrived: np.ndarray) -> np.ndarray:
    """softmax(label / max(label), divided by its norm, / 0.01); the same for all while all labels are 0."""
    if not arrived.any():
        return np.full(len(arrived), 1 / len(arrived))
    label = arrived / arrived.max()
    t = np.exp(label / np.sqrt((label**2).sum()) / 0.01)
    return t / t.sum()


@pytest.mark.parametrize("forgetting", ["released", "published", "none"])
def test_losses_are_info_nce_whose_negatives_are_raised_by_age(make_spec, forgetting):
    """With a queue of 2.5 batches, which keys enter. The copy of the head moves in each step, G's too."""
    torch.manual_seed(0)
    method = Method(fake_weight=2.0, noise=0.4, temperature=0.3, momentum=0.8, queue=0.5, forgetting=forgetting)
    method, networks = prepared(method, make_spec, images=10, hyper={"batch": 2, "mirror": False})
    W, W_key = weights(networks.D.state_dict()), weights(method.key_D.tensors())
    head, key_head = weights(method.fake.head.state_dict()), weights(method.fake.key_head.tensors())
    queue, arrived = method.fake.queue.entries.numpy().copy(), np.zeros(5)
    for step in range(5):
        t_fake, z = images(2), torch.randn(2, 3).double()
        torch.manual_seed(step)
        near = z + 0.4 * z.abs().clamp(max=3) * torch.randn_like(z)
        key_head = moved(key_head, head, 0.8)
        k = unit(key_head, features(W_key, 0.7 * Colored()(near, None)))
        raised = {"released": 1.0, "published": published(arrived), "none": 0.0}[forgetting]
        expected = 2 * info_nce(unit(head, features(W, t_fake)), k, queue, 0.3, raised)
        torch.manual_seed(step)
        loss = method.d_loss(context(networks, z, t_fake))
        assert loss.item() == pytest.approx(expected, rel=1e-9)
        places = (2 * step + np.arange(2)) % 5
        queue[places], arrived[places] = k, step + 1
        np.testing.assert_allclose(method.fake.queue.entries.numpy(), queue, atol=1e-12)
    x_fake, t_fake = images(2), images(2)
    key_head = moved(key_head, head, 0.8)
    k = unit(key_head, features(W_key, 0.7 * x_fake))
    raised = {"released": 1.0, "published": published(arrived), "none": 0.0}[forgetting]
    expected = 0.1 * info_nce(unit(head, features(W, t_fake)), k, queue, 0.3, raised)
    state = weights(method.state_dict())
    ctx = step_of_g(D=networks.D, transform=lambda x, role: 0.7 * x, x_fake=x_fake, t_fake=t_fake)
    assert method.g_loss(ctx).item() == pytest.approx(expected, rel=1e-9)
    for name, value in weights(method.fake.key_head.tensors()).items():
        np.testing.assert_allclose(value, key_head[name], atol=1e-12)
    rest = {key: value for key, value in weights(method.state_dict()).items() if "key_head" not in key}
    assert all(np.array_equal(value, state[key]) for key, value in rest.items())


def test_published_weights_are_nearly_the_same_once_the_run_is_longer_than_the_queue():
    """A queue of 200 holds 25 batches of 8."""
    torch.manual_seed(0)
    queue = Queue(200)
    np.testing.assert_allclose(by_iteration(queue).numpy(), 1 / 200, rtol=1e-6)
    queue.add(torch.randn(8, 128))
    np.testing.assert_allclose(by_iteration(queue).numpy(), [1 / 8] * 8 + [0] * 192, rtol=1e-5, atol=1e-12)
    queue.batches.fill_(9999)
    for _ in range(25):
        queue.add(torch.randn(8, 128))
    found, labels = by_iteration(queue), queue.arrived
    assert sorted(labels.tolist()) == np.arange(10_000, 10_025).repeat(8).tolist()
    np.testing.assert_allclose(found.numpy(), 1 / 200, rtol=0.01)
    np.testing.assert_allclose(found.numpy(), published(labels.numpy().astype(float)), rtol=1e-5)
    assert found[labels == 10_024].min() > found[labels == 10_000].max()


def test_rare_latents_move_further_up_to_a_limit():
    torch.manual_seed(0)
    sizes = torch.tensor([0.0, 0.5, -2.0, 3.0, -4.0, 6.0])
    moves = Method().near(sizes.expand(4000, 6)) - sizes
    assert not moves[:, 0].any()
    for i, deviation in enumerate([0.05, 0.2, 0.3, 0.3, 0.3], start=1):
        assert kstest((moves[:, i] / deviation).numpy(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(moves[:, 1:].T.numpy()) - np.eye(5)).max() < 0.06


def test_defaults_are_those_of_the_release():
    """github.com/iceli1007/FakeCLR, commit d8f0735."""
    release = {
        "fake_weight": 1.0,  # lw_fake_cl of cl_loss_weight in train.py
        "g_weight": 0.1,  # lw_fake_cl_on_g
        "noise": 0.1,  # the factor of delta in training/contrastive_loss.py
        "queue": 0.05,  # default_queue_size in train.py, for option fqs
        "temperature": 0.2,  # of GHead_kwargs in train.py
        "momentum": 0.999,  # of the same, and of D_ema in training/training_loop.py
        "forgetting": "released",
    }
    assert {name: getattr(Method(), name) for name in release} == release


def test_an_unknown_forgetting_is_named():
    with pytest.raises(ConfigError, match="'relased'.*released"):
        Method(forgetting="relased")
