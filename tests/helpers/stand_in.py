"""A second device for tests without a GPU: it computes on the CPU and refuses what a GPU refuses.

Its tensors are wrappers that call themselves META. Within `StandIn()`, `x.to(META)` and factories with `device=META`
make them; an operation on tensors of both devices raises, unless one of them indexes or is a plain number.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

META = torch.device("meta")

COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
INDEXING = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}
TO_PYTHON = torch.ops.aten._local_scalar_dense.default


class Wrapped(Tensor):
    """A tensor of the stand-in, whose numbers are in `on_cpu`."""

    on_cpu: Tensor

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> Wrapped:
        self = Tensor._make_wrapper_subclass(
            cls, on_cpu.shape, strides=on_cpu.stride(), dtype=on_cpu.dtype, device=META
        )
        self.on_cpu = on_cpu
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        raise AssertionError(f"{func} outside of StandIn()")


class StandIn(TorchDispatchMode):
    """Within it there is a second device. `uploads` and `downloads` are the sizes of the tensors copied there and back;
    `reads` counts single numbers taken from it by Python.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uploads: list[int] = []
        self.downloads: list[int] = []
        self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = [x for x in leaves if isinstance(x, Wrapped)]
        here = [x for x in leaves if not isinstance(x, Wrapped) and x.ndim]
        if there and here and func not in COPIES | INDEXING:
            raise RuntimeError(f"{func} was given tensors on two devices")
        device = kwargs.pop("device", None)
        if device is not None:
            kwargs["device"] = "cpu"
        first = isinstance(args[0], Wrapped) if args and isinstance(args[0], Tensor) else bool(there)
        to_there = first if device is None else torch.device(device) == META
        if func in COPIES and there and not to_there:
            self.downloads.append(there[0].numel())
        if func in COPIES and here and to_there:
            self.uploads.append(here[0].numel())
        self.reads += bool(there) and func is TO_PYTHON
        plain_args, plain_kwargs = tree_map(lambda x: x.on_cpu if isinstance(x, Wrapped) else x, (args, kwargs))
        result = func(*plain_args, **plain_kwargs)
        known = {id(x.on_cpu): x for x in there}  # of operations in place

        def wrapped(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return known[id(x)] if id(x) in known else Wrapped(x)

        return tree_map(wrapped, result) if to_there else result
