"""One form for each value of a configuration, whatever way it was written: 1, 1.0 and 1e0 are one learning rate.

A run's id is a digest of its values, so each value must have exactly one form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def canonical(value: Any, kind: Any) -> Any:
    """`value` in the one form that values of the type hint `kind` have. Raises ValueError if it does not match.

    float: any finite number, as a float, never -0.0. int: a whole number, 64.0 included. bool, str and None as they
    are. Lists, tuples and mappings: each entry canonical, tuples as lists. Unions: the first member whose type `value`
    already has, else the first that takes it. Values of any other hint stay as they are.
    """
    origin, members = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _of_union(value, members)
    if origin is Literal:
        for member in members:
            if value == member and isinstance(value, bool) == isinstance(member, bool):
                return member
        raise ValueError(f"{value!r} is not one of {members}")
    if origin in (list, tuple, Sequence) and members:
        return _list(value, origin, members)
    if origin in (dict, Mapping) and members:
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} is not a mapping")
        return {canonical(key, members[0]): canonical(entry, members[1]) for key, entry in value.items()}
    if kind in (int, float):
        return _number(value, kind)
    if kind in (bool, str, NoneType, None):
        if not isinstance(value, NoneType if kind is None else kind):
            raise ValueError(f"{value!r} is not {name_of(kind)}")
        return value
    return value


def _list(value: Any, origin: Any, members: tuple[Any, ...]) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is not a list")
    if origin is tuple and members[-1] is not Ellipsis:
        if len(value) != len(members):
            raise ValueError(f"{value!r} does not have {len(members)} entries")
        return [canonical(entry, member) for entry, member in zip(value, members, strict=True)]
    return [canonical(entry, members[0]) for entry in value]


def name_of(kind: Any) -> str:
    """A type hint in words for messages: "int", "float | None"."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _of_union(value: Any, members: tuple[Any, ...]) -> Any:
    exact = [member for member in members if isinstance(member, type) and type(value) is member]
    for member in (*exact, *members):
        try:
            return canonical(value, member)
        except ValueError:
            continue
    raise ValueError(f"{value!r} is none of {', '.join(map(name_of, members))}")


def _number(value: Any, kind: type[int] | type[float]) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    if kind is float:
        return float(value) + 0.0  # -0.0 + 0.0 is 0.0
    if value != int(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)
