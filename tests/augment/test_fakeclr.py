"""FakeCLR against InfoNCE in numpy, on networks whose maps are known (arXiv:2207.08630)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from leangan.augment.fakeclr import Method
from leangan.core.errors import ConfigError
from leangan.runs.methods import method_plugins
from tests.helpers.contrast import Colored, features, images, info_nce, moved, prepared, unit, weights
from tests.helpers.steps import step_of_d, step_of_g


def context(networks, z, t_fake):
    return step_of_d(D=networks.D, G=Colored(), transform=lambda x, role: 0.7 * x, z=z, t_fake=t_fake)


def softmax(t: np.ndarray) -> np.ndarray:
    return np.exp(t - t.max()) / np.exp(t - t.max()).sum()


@pytest.mark.parametrize("forgetting", ["released", "published", "none"])
def test_losses_are_info_nce_whose_negatives_are_raised_by_age(make_spec, forgetting):
    """With a queue of 2.5 batches, after some steps; keys enter it."""
    torch.manual_seed(0)
    method = Method(fake_weight=2.0, noise=0.4, temperature=0.3, momentum=0.8, queue=0.5, forgetting=forgetting)
    method, networks = prepared(method, make_spec, images=10, hyper={"batch": 2, "mirror": False})
    W, W_key = weights(networks.D.state_dict()), weights(method.key_D.tensors())
    head, key_head = weights(method.fake.head.state_dict()), weights(method.fake.key_head.tensors())
    queue, arrived = method.fake.queue.entries.numpy().copy(), np.array([-3.0, -3, -2, -2, -1])
    for step in range(5):
        t_fake, z = images(2), torch.randn(2, 3).double()
        torch.manual_seed(step)
        near = z + 0.4 * z.abs().clamp(max=3) * torch.randn_like(z)
        key_head = moved(key_head, head, 0.8)
        k = unit(key_head, features(W_key, 0.7 * Colored()(near, None)))
        raised = {"released": 1.0, "published": softmax(arrived), "none": 0.0}[forgetting]
        expected = 2 * info_nce(unit(head, features(W, t_fake)), k, queue, 0.3, raised)
        torch.manual_seed(step)
        loss = method.d_loss(context(networks, z, t_fake))
        if step >= 3:  # all random entries are gone
            assert loss.item() == pytest.approx(expected, rel=1e-9)
        places = (2 * step + np.arange(2)) % 5
        queue[places], arrived[places] = k, step
        np.testing.assert_allclose(method.fake.queue.entries.numpy(), queue, atol=1e-12)
    x_fake, t_fake = images(2), images(2)
    k = unit(key_head, features(W_key, 0.7 * x_fake))
    raised = {"released": 1.0, "published": softmax(arrived), "none": 0.0}[forgetting]
    expected = 0.1 * info_nce(unit(head, features(W, t_fake)), k, queue, 0.3, raised)
    state = weights(method.state_dict())
    ctx = step_of_g(D=networks.D, transform=lambda x, role: 0.7 * x, x_fake=x_fake, t_fake=t_fake)
    assert method.g_loss(ctx).item() == pytest.approx(expected, rel=1e-9)
    assert all(np.array_equal(value, state[name]) for name, value in weights(method.state_dict()).items())


def test_rare_latents_move_further_up_to_a_limit():
    torch.manual_seed(0)
    sizes = torch.tensor([0.0, 0.5, -2.0, 3.0, -4.0, 6.0])
    moves = Method().near(sizes.expand(4000, 6)) - sizes
    assert not moves[:, 0].any()
    for i, deviation in enumerate([0.05, 0.2, 0.3, 0.3, 0.3], start=1):
        assert kstest((moves[:, i] / deviation).numpy(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(moves[:, 1:].T.numpy()) - np.eye(5)).max() < 0.06


def test_constants_and_entries():
    method = Method()
    assert (method.fake_weight, method.g_weight, method.noise, method.forgetting) == (1, 0.1, 0.1, "released")
    assert (method.queue, method.temperature, method.momentum) == (0.05, 0.2, 0.999)
    assert [name for name, _ in method_plugins("ada-fakeclr")] == ["ada", "fakeclr"]
    with pytest.raises(ConfigError, match="'relased'.*released"):
        Method(forgetting="relased")
