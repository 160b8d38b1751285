"""What a network is made of, so that it shows whether a method has changed it.

The values of tensors are no part of it, nor whether they learn: a network that is built anew is given them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn


def make_up(network: nn.Module) -> list[Any]:
    """The network, all modules in it, and the tensors, hooks and attributes of each, with names, in their order."""
    found: list[Any] = [network]
    for name, module in network.named_modules():
        found += [name, *_flat(vars(module))]
    return found


def _flat(value: Any) -> Iterator[Any]:
    """The value itself, or of a container its kind and all that it holds."""
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set):
        yield type(value)
        for part in value:
            yield from _flat(part)
    else:
        yield value


def same(one: list[Any], other: list[Any]) -> bool:
    """Whether two results of `make_up` are of the same objects and of equal plain values."""
    plain = (str, bool, int, float)
    return len(one) == len(other) and all(
        a is b or (type(a) is type(b) and isinstance(a, plain) and a == b) for a, b in zip(one, other, strict=True)
    )
