"""LeCam regularisation against its definition (arXiv:2104.03310)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augment.base import StepContext
from augment.lecam import Method
from suite.spec import method_plugins
from training.steps import Steps


def context(d_real: torch.Tensor, d_fake: torch.Tensor) -> StepContext:
    return StepContext(None, None, None, 0, None, None, d_fake, d_real=d_real)


def test_logits_are_held_near_the_anchor_of_the_other_kind():
    method = Method(weight=0.3)
    method.observe(torch.full((4, 1), 2.0), torch.full((4, 1), -3.0), 4)
    d_real, d_fake = (torch.tensor(x, requires_grad=True) for x in ([[1.0], [5.0]], [[0.0], [-1.0]]))
    loss = method.d_loss(context(d_real, d_fake))
    # Reals against -3: (4^2 + 8^2) / 2 = 40. Fakes against 2: (2^2 + 3^2) / 2 = 6.5.
    assert loss.item() == pytest.approx(0.3 * 46.5)
    loss.backward()
    torch.testing.assert_close(d_real.grad, 0.3 * torch.tensor([[4.0], [8.0]]))
    torch.testing.assert_close(d_fake.grad, 0.3 * torch.tensor([[-2.0], [-3.0]]))


def test_anchors_are_moving_averages_that_forget_their_beginning():
    rng = np.random.default_rng(0)
    batches = rng.normal((1.5, -2.0), 1.0, (300, 8, 2))
    means = batches.mean(1)
    method = Method()
    for step, batch in enumerate(batches):
        method.observe(*torch.from_numpy(batch).float()[:, :, None].unbind(1), 8 * step)
        if step == 49:
            expected = dict(zip(("anchor_real", "anchor_fake"), means[:50].mean(0), strict=True))
            assert method.log() == pytest.approx(expected, rel=1e-4)
    # After 100 plain means, each step keeps 0.99 of the past.
    past = 0.99 ** np.arange(199, -1, -1)
    expected = 0.99**200 * means[:100].mean(0) + 0.01 * (past[:, None] * means[100:]).sum(0)
    np.testing.assert_allclose(method.anchors.numpy(), expected, rtol=1e-4)


def test_the_first_step_is_held_near_zero():
    loss = Method(weight=1.0).d_loss(context(torch.tensor([[0.5]]), torch.tensor([[-0.25]])))
    assert loss.item() == 0.5**2 + 0.25**2


def test_a_decay_that_never_moves_is_refused():
    with pytest.raises(ValueError, match="decay is 1.0; 0 <= decay < 1"):
        Method(decay=1.0)


def test_published_weights():
    weights = {name: dict(method_plugins(name))["lecam"]["weight"] for name in ("lecam", "lecam-cifar", "lecam-biggan")}
    assert weights == {"lecam": 3e-7, "lecam-cifar": 1e-6, "lecam-biggan": 0.3}


def test_anchors_follow_training_with_ada(make_spec, make_reals):
    plugins = [("ada", {"p": 0.5}), ("lecam", {"weight": 0.3})]
    steps = Steps(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    for iteration in range(3):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    # Plain means so far, as the log's.
    means = steps.tally.means()
    expected = torch.tensor([means["d_real"], means["d_fake"]])
    torch.testing.assert_close(steps.method.methods["lecam"].anchors, expected)
    assert {"p", "anchor_real", "anchor_fake"} <= steps.method.log().keys()
