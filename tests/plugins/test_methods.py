"""What every method in `augment/` must hold; a new file is tested here without a line of test."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable

import pytest
import torch

from leangan.plugins.exclusion import missing_part
from leangan.plugins.method import Method
from leangan.plugins.registry import FailedImport, load, names

ROLES = ("real", "fake_d", "fake_g")
# The argument that sets a method's strength, and the value at which it changes nothing.
ZERO_STRENGTH = {"p": 0.0, "policy": ""}


@pytest.fixture(params=names("method"))
def method_name(request) -> str:
    return request.param


@pytest.fixture
def method_class(method_name) -> type[Method]:
    cls = load("method", method_name)
    assert not isinstance(cls, FailedImport), cls.traceback or cls.reason
    return cls


@pytest.fixture
def make(method_class) -> Callable[..., Method]:
    return lambda **changes: method_class(**{**method_class.quick, **changes})


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(4, 3, 16, 16) * 2 - 1


def observe(method: Method, steps: int) -> None:
    """D steps with logits of an overfitted D, the same at each call."""
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        d_real = torch.randn(4, 1, generator=generator) + 2
        method.observe(d_real, d_real - 4, cur_nimg=4 * (step + 1))
        if step % 4 == 0:
            method.observe_validation(d_real - 3, cur_nimg=4 * (step + 1))


def test_it_says_what_it_is(method_class):
    assert issubclass(method_class, Method)
    assert method_class.title and method_class.__doc__
    assert inspect.getmodule(method_class).__doc__
    assert re.search(r"arXiv:\d{4}\.\d{5}|^unpublished$", method_class.paper)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("batch", [1, 4])
def test_transform_keeps_shape_and_dtype(make, images, role, batch):
    x = images[:batch]
    before = x.clone()
    out = make().transform(x, role)
    assert out.shape == x.shape and out.dtype == x.dtype
    assert out.isfinite().all()
    assert torch.equal(x, before), "the images were changed in place"


@pytest.mark.parametrize("role", ROLES)
def test_gradients_of_both_orders_reach_the_images(make, images, role):
    x = images.requires_grad_()
    (grad,) = torch.autograd.grad(make().transform(x, role).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), x)
    for g in (grad, second):
        assert g.isfinite().all()
        assert g.flatten(1).any(1).all(), "an image gets no gradient"


@pytest.mark.parametrize("role", ROLES)
def test_zero_strength_is_the_identity(method_class, make, images, role):
    arguments = inspect.signature(method_class).parameters
    zero = {name: value for name, value in ZERO_STRENGTH.items() if name in arguments}
    if not zero:
        pytest.skip("has no argument that sets the strength of its transform")
    assert torch.equal(make(**zero).transform(images, role), images)


def test_mix_gives_images_in_place_of_the_reals(make, images):
    out = make().mix(images, -images)
    assert out.shape == images.shape and out.isfinite().all()


def test_log_gives_finite_numbers(make):
    method = make()
    for steps in (0, 16):
        observe(method, steps)
        assert all(isinstance(value, float) and math.isfinite(value) for value in method.log().values())


def test_state_survives_a_checkpoint(make, images):
    method, restored, uninterrupted = make(), make(), make()
    observe(method, 6)
    restored.load_state_dict(method.state_dict())
    observe(restored, 6)
    observe(uninterrupted, 6)
    observe(uninterrupted, 6)
    assert restored.log() == uninterrupted.log()
    state = uninterrupted.state_dict()
    assert restored.state_dict().keys() == state.keys()
    for key, value in restored.state_dict().items():
        assert torch.equal(value, state[key]), key
    outs = []
    for m in (restored, uninterrupted):
        torch.manual_seed(2)
        outs.append(m.transform(images, "real"))
    assert torch.equal(*outs)


@pytest.mark.parametrize(
    "changes", [{}, {"conditional": True}, {"of": "tiny-biggan"}], ids=["plain", "labels", "biggan"]
)
def test_skip_is_a_reason_or_none(make_spec, method_name, method_class, changes):
    spec = make_spec(plugins=[(method_name, method_class.quick)], **changes)
    reason = missing_part(spec, method_class) or method_class.skip(spec)
    assert reason is None or (isinstance(reason, str) and reason)
