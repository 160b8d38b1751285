"""Several methods as one: `ada-bcr: [ada, bcr]` in config/methods.yaml."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from torch import Tensor, nn

from augment.base import Method, Networks, Role, StepContext
from suite.errors import check_names


class Compose(Method):
    """Calls every hook of its methods in their order: transforms, mixes and adversarial losses are chained, the
    losses added to those summed.

    A scalar that two methods log under one name is written as `<method>.<scalar>` for each of them.

    Args:
        methods: the methods by name; none at all is the baseline.
    """

    def __init__(self, methods: dict[str, Method]) -> None:
        super().__init__()
        self.methods = nn.ModuleDict(methods)
        self.title = " + ".join(method.title for method in methods.values())
        self.paper = ", ".join(dict.fromkeys(method.paper for method in methods.values()))
        self.needs_held_out = any(method.needs_held_out for method in methods.values())

    def prepare(self, networks: Networks) -> None:
        for method in self.methods.values():
            method.prepare(networks)

    def initialize(self, networks: Networks) -> None:
        for method in self.methods.values():
            method.initialize(networks)

    def transform(self, x: Tensor, role: Role) -> Tensor:
        for method in self.methods.values():
            x = method.transform(x, role)
        return x

    def mix(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        for method in self.methods.values():
            x_real = method.mix(x_real, x_fake)
        return x_real

    def d_adversarial(self, ctx: StepContext, loss: Tensor) -> Tensor:
        for method in self.methods.values():
            loss = method.d_adversarial(ctx, loss)
        return loss

    def g_adversarial(self, ctx: StepContext, loss: Tensor) -> Tensor:
        for method in self.methods.values():
            loss = method.g_adversarial(ctx, loss)
        return loss

    def d_loss(self, ctx: StepContext) -> Tensor | float:
        return sum((method.d_loss(ctx) for method in self.methods.values()), 0.0)

    def g_loss(self, ctx: StepContext) -> Tensor | float:
        return sum((method.g_loss(ctx) for method in self.methods.values()), 0.0)

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        for method in self.methods.values():
            method.observe(d_real, d_fake, cur_nimg)

    def observe_held_out(self, d_valid: Tensor, cur_nimg: int) -> None:
        for method in self.methods.values():
            method.observe_held_out(d_valid, cur_nimg)

    def log(self) -> dict[str, float]:
        logs = {name: method.log() for name, method in self.methods.items()}
        keys = [key for log in logs.values() for key in log]
        return {
            key if keys.count(key) == 1 else f"{name}.{key}": value
            for name, log in logs.items()
            for key, value in log.items()
        }

    def skip(self, spec: dict[str, Any]) -> str | None:
        reasons = (method.skip(spec) for method in self.methods.values())
        return next((reason for reason in reasons if reason), None)


def build(entries: Sequence[tuple[str, type[Method], dict[str, Any]]]) -> Compose:
    """The composition of (name, class, keyword arguments) entries.

    A name that comes twice, an unknown argument, a missing one and one of another type than the method declares are
    ValueErrors that say what is allowed.
    """
    methods: dict[str, Method] = {}
    for name, cls, kwargs in entries:
        if name in methods:
            raise ValueError(f"method {name!r} comes twice in {[n for n, _, _ in entries]}: name it once")
        # A method without an __init__ of its own shows nn.Module's *args and **kwargs, and takes nothing.
        allowed = {
            key: parameter
            for key, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        }
        check_names(f"argument of method {name!r}", kwargs, allowed, "config/methods.yaml")
        for argument, value in kwargs.items():
            _check_type(name, cls, argument, value)
        required = [key for key, parameter in allowed.items() if parameter.default is parameter.empty]
        missing = [key for key in required if key not in kwargs]
        if missing:
            raise ValueError(f"method {name!r} needs {', '.join(missing)}: add it in config/methods.yaml")
        methods[name] = cls(**kwargs)
    return Compose(methods)


def _check_type(name: str, cls: type[Method], argument: str, value: Any) -> None:
    """Raise ValueError for a value that the type hint of its argument excludes."""
    try:
        hint = get_type_hints(cls.__init__).get(argument, Any)
    except (NameError, AttributeError):  # a hint known to type checkers only
        return
    if _fits(value, hint):
        return
    allowed = hint.__name__ if isinstance(hint, type) else hint
    yaml = "; YAML takes a number such as 2e-7 for text, write 2.0e-7" if isinstance(value, str) else ""
    raise ValueError(
        f"argument {argument} of method {name!r} is {value!r}, allowed is {allowed}: change it in "
        f"config/methods.yaml{yaml}"
    )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a hint. Only numbers, texts, None and unions of them are judged."""
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return any(_fits(value, each) for each in get_args(hint))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in (bool, str, NoneType) else True
