"""The structure of a network: what shows whether a method has changed it.

The values of parameters and persistent buffers are no part of it, nor whether they learn: a rebuilt network is
given them.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = (str, bytes, bool, int, float)
"""The kinds of values that are compared as such; all others are one if they are the same object."""


def structure_of(network: nn.Module) -> list[Any]:
    """The network and all that its attributes lead to: modules, hooks, tensors, containers and other objects.

    Each comes with its class, in the order of the attributes. A tensor that the network's state does not hold comes
    with its content, since only the code that changed it can give it back.
    """
    saved = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    return list(_flat(network, saved, set()))


def _flat(value: Any, saved: set[int], seen: set[int]) -> Iterator[Any]:
    """The value, its class, and the same of each of its parts. What was `seen` before has no parts again."""
    yield from (value, type(value))
    if isinstance(value, (*PLAIN, type, ModuleType)) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if id(value) not in saved:
            yield _content(value)
        return
    for part in _parts(value):
        yield from _flat(part, saved, seen)


def _parts(value: Any) -> list[Any]:
    """What a container holds, and names and values of an object's attributes."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, nn.Module):
        return _parts(vars(value))
    state = object.__getstate__(value)  # the attributes, and those of __slots__ in a second dict
    return [
        part for attributes in (state if isinstance(state, tuple) else (state,)) for part in _parts(attributes or {})
    ]


def _content(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()


def same_structure(one: list[Any], other: list[Any]) -> bool:
    """Whether two results of `structure_of` are of the same objects and of equal plain values."""
    return len(one) == len(other) and all(
        a is b or (type(a) is type(b) and isinstance(a, PLAIN) and a == b) for a, b in zip(one, other, strict=True)
    )
