"""All arguments that a method trains with, given ones and defaults, each in its canonical form.

They are part of a run's identity: a method with a changed default makes another run.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from leangan.core.errors import ConfigError, check_names
from leangan.core.values import canonical, name_of

if TYPE_CHECKING:  # imports torch
    from leangan.plugins.method import Method

WHERE = "config/methods.yaml"


def bind(name: str, cls: type[Method], given: Mapping[str, Any], where: str = WHERE) -> dict[str, Any]:
    """All arguments of the method's constructor in its order, `given` ones and defaults, as JSON values.

    Each is canonical (`core.values`) for its type hint or, if the hint gives no usable type, for the type of its
    default. `Method.resolve` then fills in arguments that follow from others. Binding the result again does not change
    it. `name` is the method's name in messages, `where` the place to change what was given.

    Raises ConfigError for an unknown argument, for a missing one and for a value of the wrong type. Raises ValueError
    for a default that is not of the type of its hint or has no JSON form.
    """
    parameters = parameters_of(cls)
    check_names(f"argument of method {name!r}", given, parameters, where)
    missing = [key for key, each in parameters.items() if each.default is each.empty and key not in given]
    if missing:
        raise ConfigError(f"method {name!r} needs {', '.join(missing)}: add it in {where}")
    hints = _hints(cls)
    arguments = {}
    for key, parameter in parameters.items():
        kind = hints.get(key, _kind_of(parameter.default))
        if key in given:
            arguments[key] = _given(name, key, given[key], kind, where)
        else:
            arguments[key] = _default(name, key, parameter.default, kind, cls)
    return cls.resolve(arguments)


def parameters_of(cls: type[Method]) -> dict[str, inspect.Parameter]:
    """The constructor's arguments that can be given by name.

    A method without its own __init__ has the *args and **kwargs of nn.Module, which are no arguments of the method.
    """
    found = inspect.signature(cls).parameters
    return {key: each for key, each in found.items() if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}


def _hints(cls: type[Method]) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__)
    except (NameError, AttributeError):  # a hint that is imported for type checkers only
        return {}


def _kind_of(default: Any) -> Any:
    return type(default) if isinstance(default, bool | int | float | str) else Any


def _given(name: str, key: str, value: Any, kind: Any, where: str) -> Any:
    try:
        return _form(value, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"argument {key} of method {name!r} is {value!r}, allowed is {name_of(kind)} ({error}): "
            f"change it in {where}"
        ) from None


def _default(name: str, key: str, value: Any, kind: Any, cls: type[Method]) -> Any:
    try:
        return _form(value, kind)
    except (ValueError, TypeError, OverflowError) as error:
        from leangan.plugins.check import source_location  # imports torch

        raise ValueError(
            f"{source_location(cls)}: the default of argument {key} of method {name!r} is {value!r}, must be "
            f"{name_of(kind)} and have a JSON form ({error})"
        ) from None


def _form(value: Any, kind: Any) -> Any:
    """The canonical form of `value` as a JSON value: a tuple becomes a list.

    Raises ValueError, TypeError or OverflowError if there is none.
    """
    return json.loads(json.dumps(canonical(value, kind), allow_nan=False))
