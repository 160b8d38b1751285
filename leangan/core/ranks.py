"""The ranks of a data-parallel run, as networks and methods see them; a process on its own is rank 0 of 1.

Each rank holds `1 / world_size()` of every batch; `launching.devices` says which numbers of ranks can share a
run. What a network or method keeps about the whole batch, such as a moving average, goes through `mean_over_ranks` or
`sum_over_ranks`, so that all ranks hold the same; what it keeps of single images goes through `whole_batch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

# The backward pass on a GPU runs in a thread of its own, which does not see these two: they hold for forward passes.
_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Within it, this process is on its own: for what one rank computes while the others go on, such as a picture."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def _joined() -> bool:
    return not _alone.get() and dist.is_available() and dist.is_initialized()


def rank() -> int:
    """The number of this process, 0 to `world_size() - 1`."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _joined() else 1


_alike: ContextVar[bool] = ContextVar("alike", default=False)


@contextmanager
def drawing_alike() -> Iterator[None]:
    """Within it, random numbers are decisions about the whole batch: tensors of any shape are the same on all ranks."""
    token = _alike.set(True)
    try:
        yield
    finally:
        _alike.reset(token)


def draws_alike() -> bool:
    """Whether random numbers are drawn within `drawing_alike`."""
    return _alike.get()


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, the same bits on each; no gradient passes. Every rank must call it."""
    if not _joined():
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of a tensor over all ranks, the same bits on each; no gradient passes. Every rank must call it."""
    return x if world_size() == 1 else sum_over_ranks(x) / world_size()


def mean_over_ranks_with_gradient(x: Tensor) -> Tensor:
    """The same mean, through which gradients of every order pass. Every rank must call it, and differentiate it."""
    return x if world_size() == 1 else _Mean.apply(x)


def whole_batch_with_gradient(x: Tensor) -> Tensor:
    """The rows of the whole batch, of which x [N, ...] holds this rank's; gradients of every order pass.

    Every rank must call it and, where x has a gradient, differentiate it.
    """
    if world_size() == 1:
        return x
    own = torch.stack([x if number == rank() else torch.zeros_like(x) for number in range(world_size())], dim=1)
    return mean_over_ranks_with_gradient(own.flatten(0, 1)) * world_size()


def whole_batch(x: Tensor) -> Tensor:
    """The rows [N, ...] that the ranks hold of a whole batch, in its order, the same bits on each; no gradient passes.

    Every rank must call it, with as many rows.
    """
    if world_size() == 1:
        return x.detach()
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)  # rank r of W holds the rows r, r + W, ...


class _Mean(torch.autograd.Function):
    """The mean over ranks and its derivative.

    The loss of the whole batch is the mean of the ranks' losses, and the gradients of weights are averaged over ranks.
    So dL/dx on each rank has to be the mean over the ranks s of dL_s/dmean: the backward pass is the same operation.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _Mean.apply(grad)
