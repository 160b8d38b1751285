"""What layers of a network give, by their names, during a call of the whole network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn


@contextmanager
def feature_maps(network: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Within it, each call of the network leaves in the dict what the named layers gave, before later layers change it.

    layers: names of submodules as `named_modules` has them, for example "blocks" or "blocks.1". Raises AttributeError
    for a name that the network does not have.
    """
    found: dict[str, Any] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        found[name] = output

    handles = [network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
