"""A CUDA graph's behaviour on a CPU: the calls of some work are noted, and made again on the same tensors.

As in a graph, no Python of the work runs at a replay, numbers are those of the recording, and every result goes where
the first one went. In contrast to a graph, the work is carried out while it is recorded, so the state is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Work = Callable[[], None]


UNSTATED = {torch.ops.aten.native_batch_norm.default}
"""Calls that write into arguments, here the running statistics, though their schema does not say so."""


def tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


class Recording(TorchDispatchMode):
    """Notes calls with their arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict, list[Tensor]]] = []
        self.written: dict[int, tuple[Tensor, Tensor]] = {}
        self.made: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        changes = func._schema.is_mutable
        if changes or func in UNSTATED:
            for argument in tensors((args, kwargs)):
                storage = argument.untyped_storage()
                if storage.data_ptr() not in self.made | self.written.keys():
                    kept = torch.empty(0, dtype=torch.uint8).set_(storage)
                    self.written[storage.data_ptr()] = kept, kept.clone()
        out = func(*args, **kwargs)
        is_view = any(result.alias_info is not None for result in func._schema.returns) and not changes
        results = tensors(out)
        if not is_view:
            if not changes:
                self.made |= {result.untyped_storage().data_ptr() for result in results}
            self.calls.append((func, args, kwargs, [] if changes else results))
        else:  # kept alive, as all results are, so that no address is used twice
            self.calls.append((None, (), {}, results))
        return out

    def put_back(self) -> None:
        """Give every tensor that existed before the value that it had before."""
        for now, before in self.written.values():
            now.copy_(before)

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, results in self.calls:
            if func is not None:
                made = tensors(func(*args, **kwargs))
                for old, new in zip(results, made if results else [], strict=True):
                    old.detach().copy_(new)


def recorded(work: Work) -> Work:
    """The replay of `work`, as `leangan.core.cuda_graph.captured` makes it on a GPU."""
    before = torch.get_rng_state()
    with Recording() as recording:
        work()
    recording.put_back()
    torch.set_rng_state(before)
    return recording.replay
