"""Data parallelism: several processes train one run, and their number changes only rounding.

Every rank seeds its generators alike and draws the random numbers of the whole batch, of which it keeps its own
rows: rank r of W holds the samples r, r + W, r + 2W, ... of each batch. Gradients are averaged over the ranks during
each backward pass, so that all ranks hold the same weights at any time, bit for bit.

With these rows, the halves of a concatenation, the first samples of a batch and the groups of the minibatch standard
deviation (n, n + N/group, n + 2N/group, ...) all consist of the same samples whatever the number of ranks.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from leangan.core.errors import Reported
from leangan.core.gpu_error import is_cuda_error
from leangan.core.ranks import draws_alike, rank, world_size

PATIENCE = timedelta(minutes=30)
"""How long a rank waits in a collective operation until it takes the others for lost. No rank may be busy alone for
longer; one that waits for something else, such as the lock of a run, agrees with the others now and then."""

BUCKET_BYTES = 25 * 2**20
"""Gradients that travel together: few enough to set out early, enough to be worth an exchange."""


class LostRank(Reported, RuntimeError):
    """Another rank has ended, which this one learned in a collective operation."""


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[None]:
    """Join the ranks that torchrun started, as its environment variables say; alone without them.

    Tensors on a GPU travel over nccl, those on a CPU over gloo. Bound to its GPU, a rank opens the channels of nccl
    here, so that those that cannot be opened are known at once. A rank that fails leaves without the others: they
    notice, and raise LostRank.
    """
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} <= os.environ.keys():
        yield
        return
    # torch 2.11 binds a process to a GPU only.
    backend, bound = ("cpu:gloo,cuda:nccl", device) if device.type == "cuda" else ("gloo", None)
    try:
        dist.init_process_group(backend, timeout=PATIENCE, device_id=bound)
        yield
    except Exception as error:
        if is_lost_rank(error):
            said = str(error).partition("\n")[0]
            reason = f"rank {os.environ['RANK']} lost contact with another ({said}); that one says why it ended"
            raise LostRank(f"{reason}. The same command continues from the last checkpoint.") from error
        raise
    dist.destroy_process_group()


NCCL = re.compile(r"NCCL (\w+ )?(error|failed|communicator|operation)|nccl\w*Error", re.IGNORECASE)


def is_lost_rank(error: BaseException) -> bool:
    """Whether `error` says that contact with another rank is lost, so that not this one failed.

    gloo raises it in the collective operation. nccl raises it wherever the host next asks for a result of the GPU, as a
    DistError or with its name in the text. What CUDA reports is no such error, in a collective operation either.
    """
    if isinstance(error, LostRank):
        return True
    if not isinstance(error, RuntimeError) or is_cuda_error(error):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    in_collective = any("torch/distributed/" in frame.filename for frame in frames)
    return in_collective or isinstance(error, dist.DistError) or NCCL.search(str(error)) is not None


@torch.no_grad()
def from_rank_0(*modules: nn.Module) -> None:
    """Give all ranks the parameters and buffers that rank 0 has.

    The same seed leaves other last bits where processors or their threads differ: a QR decomposition or a power
    iteration rounds as they do.
    """
    if world_size() > 1:
        for module in modules:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)


@torch.no_grad()
def differing(module: nn.Module) -> list[str]:
    """Names of the parameters and buffers that are not the same on all ranks. Every rank must call it."""
    state = module.state_dict()
    unlike = []
    for tensor in state.values():
        first = tensor.clone()
        if world_size() > 1:
            dist.broadcast(first, 0)
        unlike.append(not torch.equal(first.nan_to_num(), tensor.nan_to_num()))
    return [name for name, differs in zip(state, on_any_rank(*unlike), strict=True) if differs]


def on_any_rank(*flags: bool) -> list[bool]:
    """Which of the flags are set on at least one rank; all ranks wait here for each other.

    They travel between the processors: a GPU that is still at work is not waited for.
    """
    if world_size() == 1:
        return list(flags)
    counts = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(counts)
    return (counts > 0).tolist()


class GradientAverage:
    """The mean over the ranks of the gradients of `params`, exchanged while the backward pass goes on.

    Gradients come from the last layers to the first. Whenever BUCKET_BYTES of them are there, they set out as one
    tensor, and the layers below are computed meanwhile. They come in the same order on every rank, since all compute
    the same graph; a parameter without a gradient has none anywhere and stays so.
    """

    def __init__(self, params: list[nn.Parameter]) -> None:
        self._waiting: list[Tensor] = []
        self._sent: list[tuple[list[Tensor], Tensor, dist.Work]] = []
        if world_size() > 1:
            for param in params:
                param.register_post_accumulate_grad_hook(self._collect)

    def _collect(self, param: Tensor) -> None:
        if param.grad is None:  # the graph leads to it, but by a constant
            return
        self._waiting.append(param.grad)
        if sum(grad.nbytes for grad in self._waiting) >= BUCKET_BYTES:
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        flat = torch.cat([_memory(grad) for grad in self._waiting])
        self._sent.append((self._waiting, flat, dist.all_reduce(flat, async_op=True)))
        self._waiting = []

    @torch.no_grad()
    def finish(self) -> None:
        """Send what is left after a backward pass, and replace all its gradients by their means."""
        if self._waiting:
            self._send()
        for grads, flat, exchange in self._sent:
            try:
                exchange.wait()
            except RuntimeError as error:  # of gloo: for nccl only the GPU waits here
                if is_cuda_error(error):
                    raise
                raise LostRank(str(error)) from error
            parts = (flat / world_size()).split([grad.numel() for grad in grads])
            torch._foreach_copy_([_memory(grad) for grad in grads], list(parts))
        self._sent.clear()


def _memory(grad: Tensor) -> Tensor:
    """The numbers of a gradient as they lie in memory [numel], which is as in its parameter: alike on all ranks."""
    return grad.as_strided((grad.numel(),), (1,))


def own_rows(whole: Tensor) -> Tensor:
    """The rows of a whole batch that this rank holds, as a tensor of their own."""
    return whole[rank() :: world_size()].clone()


def drawing_own_rows() -> AbstractContextManager[Any]:
    """Within it, random tensors are this rank's rows of those that one process would draw for the whole batch."""
    return nullcontext() if world_size() == 1 else _OwnRows()


SIZED: tuple[Callable[..., Tensor], ...] = (torch.rand, torch.randn, torch.randint)
LIKE: tuple[Callable[..., Tensor], ...] = (torch.rand_like, torch.randn_like, torch.randint_like)
IN_PLACE = Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.exponential_, Tensor.log_normal_, Tensor.cauchy_
REFUSED = {torch.normal, torch.bernoulli, torch.multinomial, torch.poisson, torch.randperm, torch.dropout}
REFUSED |= {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, F.rrelu}
REFUSED |= {F.gumbel_softmax, Tensor.bernoulli, Tensor.bernoulli_, Tensor.multinomial, Tensor.geometric_}


class _OwnRows(TorchFunctionMode):
    """Draws for all ranks and keeps this rank's rows.

    A tensor with dimensions holds images along the first one. A tensor without is one decision for the whole batch
    and is drawn alike on all ranks, as all are within `ranks.drawing_alike`. Functions whose numbers do not come row by
    row are refused.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if draws_alike():
            return func(*args, **kwargs)
        if func in SIZED:
            bounds, size = _split_size(func, args, kwargs)
            if not size:
                return func(*bounds, size, **kwargs)
            return own_rows(func(*bounds, (size[0] * world_size(), *size[1:]), **kwargs))
        if func in LIKE and args[0].ndim:
            return own_rows(func(_for_all_ranks(args[0]), *args[1:], **kwargs))
        if func in IN_PLACE and args[0].ndim:
            return args[0].copy_(own_rows(func(_for_all_ranks(args[0]), *args[1:], **kwargs)))
        if func in REFUSED:
            allowed = ", ".join(f"torch.{each.__name__}" for each in SIZED + LIKE)
            raise RuntimeError(f"{func.__name__} cannot be shared by {world_size()} ranks; draw with {allowed}")
        return func(*args, **kwargs)


def _split_size(
    func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """(arguments before the size, the size) of a call of one of SIZED; takes `size` out of kwargs."""
    if "size" in kwargs:
        return args, tuple(kwargs.pop("size"))
    if func is torch.randint:
        return args[:-1], tuple(args[-1])
    return (), tuple(args[0]) if args and isinstance(args[0], tuple | list) else args


def _for_all_ranks(x: Tensor) -> Tensor:
    """An empty tensor for the whole batch, in the memory layout of x: the order in which numbers are drawn."""
    stride = torch.empty_like(x).stride()
    whole = [step * world_size() if step > stride[0] else step for step in stride]
    return x.new_empty_strided((len(x) * world_size(), *x.shape[1:]), whole)
