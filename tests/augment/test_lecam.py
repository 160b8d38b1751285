"""LeCam regularisation against its definition (arXiv:2104.03310)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.augment.lecam import Method
from leangan.plugins.method import DStep
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer
from tests.helpers.steps import step_of_d


def context(d_real: torch.Tensor, d_fake: torch.Tensor) -> DStep:
    """A D step of these logits, which are all that LeCam looks at."""
    unused = torch.full((), torch.nan)
    return step_of_d(
        transform=lambda x, role: unused,
        d_fake=d_fake,
        d_real=d_real,
    )


def test_logits_are_held_near_the_anchor_of_the_other_kind():
    method = Method(weight=0.3)
    d_real, d_fake = (torch.tensor(x, requires_grad=True) for x in ([[1.0], [5.0]], [[0.0], [-1.0]]))
    loss = method.d_loss(context(d_real, d_fake))
    # The anchors are the means 3 and -0.5. Reals: (1.5^2 + 5.5^2) / 2 = 16.25. Fakes: (3^2 + 4^2) / 2 = 12.5.
    assert loss.item() == pytest.approx(0.3 * 28.75)
    loss.backward()
    torch.testing.assert_close(d_real.grad, 0.3 * torch.tensor([[1.5], [5.5]]))
    torch.testing.assert_close(d_fake.grad, 0.3 * torch.tensor([[-3.0], [-4.0]]))


def test_reals_below_the_fakes_anchor_and_fakes_above_that_of_reals_are_left_alone():
    d_real, d_fake = (torch.tensor(x, requires_grad=True) for x in ([[-2.0], [2.0]], [[0.5], [-0.5]]))
    loss = Method(weight=1.0).d_loss(context(d_real, d_fake))
    # Both anchors are 0: of each kind one logit lies on the wrong side.
    assert loss.item() == (2**2 + 0.5**2) / 2
    loss.backward()
    assert d_real.grad.flatten().tolist() == [0, 2] and d_fake.grad.flatten().tolist() == [0, -0.5]


def test_anchors_are_moving_averages_that_forget_their_beginning():
    rng = np.random.default_rng(0)
    batches = rng.normal((1.5, -2.0), 1.0, (300, 8, 2))
    means = batches.mean(1)
    method = Method()
    for step, batch in enumerate(batches, start=1):
        method.d_loss(context(*torch.from_numpy(batch).float()[:, :, None].unbind(1)))
        # Weights 0.99^k, k steps ago, whose sum is (1 - 0.99^step) / 0.01.
        if step in (1, 2, 50, 300):
            expected = np.average(means[:step], axis=0, weights=0.99 ** np.arange(step - 1, -1, -1))
            np.testing.assert_allclose(list(method.log().values()), expected, rtol=1e-4)


def test_a_decay_that_never_moves_is_refused():
    with pytest.raises(ValueError, match="decay is 1.0; 0 <= decay < 1"):
        Method(decay=1.0)


@pytest.mark.parametrize(
    "entry, weight, decay", [("lecam", 3e-7, 0.99), ("lecam-cifar", 1e-6, 0.99), ("lecam-biggan", 0.3, 0.9)]
)
def test_losses_of_the_entries_with_the_weights_of_the_release(entry, weight, decay):
    """Logits of 1 and -1, then of 3 and -3: what either kind lacks to the other's anchor is 2, then 3 + a."""
    ((_, arguments),) = method_plugins(entry)
    method = Method(**arguments)
    losses = [method.d_loss(context(torch.full((2, 1), x), torch.full((2, 1), -x))).item() for x in (1.0, 3.0)]
    a = (decay * 1 + 3) / (decay + 1)
    assert losses == pytest.approx([weight * 2 * 2**2, weight * 2 * (3 + a) ** 2], rel=1e-5)


def test_anchors_follow_training_with_ada(make_spec, make_reals):
    plugins = [("ada", {"p": 0.5}), ("lecam", {"weight": 0.3})]
    steps = Trainer(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    means = []
    for iteration in range(3):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
        means.append([steps.tally.means()[key] for key in ("d_real", "d_fake")])
        steps.tally.clear()
    expected = np.average(means, axis=0, weights=[0.99**2, 0.99, 1])
    np.testing.assert_allclose(steps.method.methods["lecam"].anchors.numpy(), expected, rtol=1e-4)
    assert {"p", "anchor_real", "anchor_fake"} <= steps.method.log().keys()
