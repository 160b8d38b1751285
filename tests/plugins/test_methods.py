"""What every method in `augment/` must hold; a new file is tested here without a line of test.

A method is seen in a tiny run that it does not refuse, its networks prepared; see tests/helpers/method_at_work.py.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable

import pytest
import torch

from leangan.core.spec import RunSpec
from leangan.plugins.controller import ControlledMethod
from leangan.plugins.facts import judges_of
from leangan.plugins.method import ROLES, Method
from leangan.plugins.registry import FailedImport, load, names
from leangan.training.reals import Reals
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import effects, other_plugins, run_of, trainer_of

ACTING = ("prepare", "transform", "mix", "d_loss", "d_adversarial", "g_loss", "g_adversarial", "d_regularizer")
"""The hooks that act in a step."""

NEUTRAL = {"diffaugment": {"policy": ""}}
"""`Method.neutral` of files that do not state it."""


@pytest.fixture(scope="module", params=names("method"))
def method_name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def method_class(method_name) -> type[Method]:
    cls = load("method", method_name)
    assert not isinstance(cls, FailedImport), cls.traceback or cls.reason
    return cls


@pytest.fixture(scope="module")
def make(method_class) -> Callable[..., Method]:
    return lambda **changes: method_class(**{**method_class.quick, **changes})


@pytest.fixture(scope="module")
def strengths(method_name, method_class) -> tuple[dict | None, dict]:
    """The arguments with which the method changes nothing, and those with which it has its full effect.

    The first are {} where it always changes something, and None where it does not say.
    """
    has_p = "p" in inspect.signature(method_class).parameters
    neutral = NEUTRAL.get(method_name, method_class.neutral)
    return ({"p": 0.0, **(neutral or {})}, {"p": 1.0}) if has_p else (neutral, {})


@pytest.fixture(scope="module")
def make_strong(make, strengths) -> Callable[[], Method]:
    return lambda: make(**strengths[1])


@pytest.fixture(scope="module")
def run(method_name, make_spec) -> RunSpec:
    found = run_of(method_name, make_spec)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="module")
def reals(make_reals) -> Reals:
    return make_reals()


@pytest.fixture(scope="module")
def strong(make_strong, run, reals) -> dict[str, torch.Tensor]:
    """What the method does at full strength."""
    return effects(run, make_strong(), reals)


@pytest.fixture(scope="module")
def without(reals) -> Callable[[RunSpec], dict[str, torch.Tensor]]:
    """What a run does without a method; most methods are seen in the same one."""
    found: dict[str, dict[str, torch.Tensor]] = {}

    def effects_without(run: RunSpec) -> dict[str, torch.Tensor]:
        key = f"{run.backbone} {run.hyper} {other_plugins(run)}"
        if key not in found:
            found[key] = effects(run, Method(), reals)
        return found[key]

    return effects_without


@pytest.fixture
def at_work(run, reals) -> Callable[[Method], Trainer]:
    return lambda method: trainer_of(run, method, reals)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16) * 2 - 1


def overrides(cls: type[Method], hook: str) -> bool:
    return getattr(cls, hook) is not getattr(Method, hook)


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
    assert re.search(r"arXiv:\d{4}\.\d{5}|^\w+ 20\d\d$|^unpublished$", method_class.paper)
    assert set(filter(None, method_class.constants.split(", "))) <= {"paper", "release", "project"}


def test_tables_read_the_extractors_that_it_judges_with(method_name, method_class):
    """Without running the file."""
    assert judges_of(method_name) == method_class.judges
    assert {*method_class.judges} <= {*names("extractor")}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("batch", [1, 4])
def test_transform_keeps_shape_and_dtype(make_strong, images, role, batch):
    x = images[:batch]
    before = x.clone()
    out = make_strong().transform(x, role)
    assert out.shape == x.shape and out.dtype == x.dtype
    assert out.isfinite().all()
    assert torch.equal(x, before), "the images were changed in place"


@pytest.mark.parametrize("role", ROLES)
def test_gradients_of_both_orders_reach_the_images(make_strong, images, role):
    x = images.requires_grad_()
    (grad,) = torch.autograd.grad(make_strong().transform(x, role).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), x)
    for g in (grad, second):
        assert g.isfinite().all()
        assert g.flatten(1).any(1).all(), "an image gets no gradient"


def test_mix_gives_images_in_place_of_the_reals(make_strong, images):
    out = make_strong().mix(images, -images)
    assert out.shape == images.shape and out.dtype == images.dtype and out.isfinite().all()


def test_zero_strength_changes_nothing(method_class, make, strengths, run, reals, strong, without):
    """Images, outputs and gradients of G and D, losses and regularisers: against the same run without the method."""
    plain, (zero, _) = without(run), strengths
    if zero is None:
        acting = [hook for hook in ACTING if overrides(method_class, hook)]
        assert not acting, "state in `neutral` the arguments with which it changes nothing; {} if there are none"
    elif zero:
        neutral = effects(run, make(**zero), reals)
        assert not changes(plain, {key: value for key, value in neutral.items() if " by method." not in key})
    else:
        assert changes(plain, strong), "it changes nothing, while its empty `neutral` says that it always does"


@pytest.mark.parametrize("hook", ACTING)
def test_each_hook_has_an_effect_of_its_own(method_class, strengths, run, reals, strong, hook):
    """Against the same method without this one hook. `ControlledMethod.prepare` only tells a controller of its run."""
    if overrides(method_class, hook) and getattr(method_class, hook) is not ControlledMethod.prepare:
        lacking = type("Method", (method_class,), {hook: getattr(Method, hook)})
        try:
            assert changes(strong, effects(run, lacking(**{**method_class.quick, **strengths[1]}), reals))
        except (AttributeError, KeyError):  # its other hooks use what this one makes
            assert hook == "prepare"


def changes(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    """Where the effects of two methods differ."""
    return [key for key in {**one, **other} if not equal(one.get(key), other.get(key))]


def equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    """Up to rounding: a sum over a tensor depends on where in memory it lies."""
    if a is None or b is None:
        return False
    return bool((a - b).abs().max() <= 1e-5 * a.abs().max())


def test_what_learns_has_a_gradient(make_strong, at_work, strong):
    """Parameters of the method, too, which learn in D's step; and of G and D those that it does not freeze.

    A bias has a gradient of 0 where a loss leaves the level of D free.
    """
    steps = at_work(make_strong())
    assert all(value.isfinite().all() for value in strong.values())
    for role, player, parts in (("G", steps.g_player, ["G"]), ("D", steps.d_player, ["D", "method"])):
        learning = {id(param) for param in player.params}
        for part in parts:
            for name, param in getattr(steps, part).named_parameters():
                end = f" of {role}'s step by {part}.{name}"
                gradients = [value for key, value in strong.items() if key.endswith(end)]
                assert bool(gradients) == (id(param) in learning), end
                assert not gradients or param.ndim == 1 or any(value.any() for value in gradients), end


def test_log_gives_the_same_finite_numbers_at_every_tick(method_class, make, at_work):
    """A number that is not measured yet may be missing at first; once it is there, a curve has no holes."""
    steps, seen = at_work(make()), set()
    for iteration in range(6):
        log = steps.method.log()
        assert all(type(value) is float and math.isfinite(value) for value in log.values()), log
        assert log.keys() >= seen
        seen |= log.keys()
        steps.d_step(8 * iteration, iteration)
        steps.validate(8 * (iteration + 1), iteration)
    assert bool(seen) == overrides(method_class, "log")


def test_state_survives_a_checkpoint(method_class, make, at_work, images):
    """Of the method and of the networks that it prepared: in others that have come elsewhere."""
    known = inspect.signature(method_class).parameters
    halfway = {name: value for name, value in {"p": 0.5, "tune_kimg": 0.2}.items() if name in known}
    begun, restored = at_work(make(**halfway)), at_work(make(**halfway))
    observe(restored.method, 3)
    with torch.no_grad():
        for part in (restored.G, restored.D, restored.method):
            for param in part.parameters():
                param += 1
    observe(begun.method, 6)
    for part in ("G", "D", "method"):
        getattr(restored, part).load_state_dict(getattr(begun, part).state_dict())
    for steps in (begun, restored):
        observe(steps.method, 6)
    assert restored.method.log() == begun.method.log()
    outs = []
    for steps in (begun, restored):
        state = {
            f"{part}.{k}": v for part in ("G", "D", "method") for k, v in getattr(steps, part).state_dict().items()
        }
        torch.manual_seed(2)
        with torch.no_grad():
            seen = [steps.method.transform(images, "real"), steps.G(torch.randn(4, steps.G.z_dim), None)]
            outs.append({**state, "images": torch.cat(seen), "logits": steps.D(images, None)})
    assert outs[0].keys() == outs[1].keys()
    assert [key for key, value in outs[0].items() if not torch.equal(value, outs[1][key])] == []
