"""Whether a run's iterations may be captured as CUDA graphs: whether each part does the same at every iteration.

A graph holds the kernels of one iteration with the numbers that Python gave them, and the addresses of its tensors. So
each part is carried out at three positions of the run on torch's meta device, whose tensors have no contents. After the
first time, which makes what is made once, its calls, their numbers and the shapes of their tensors have to be the same,
and no time may use a tensor that an earlier one has made. Reading a tensor raises there, as it would in a capture.
"""

from __future__ import annotations

import logging
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from leangan.core.cuda_graph import Recorder, recorder_on
from leangan.core.ranks import world_size
from leangan.core.spec import RunSpec
from leangan.training.reals import Reals
from leangan.training.trainer import WITH_REGULARIZER, Trainer

logger = logging.getLogger("training")

META = torch.device("meta")

PERIOD = 840
"""The last position is a multiple of it, in iterations: what happens every k-th time, up to k = 8, happens there and
not at iteration 1."""

Call = tuple[str, tuple[Any, ...]]


class Calls(TorchDispatchMode):
    """Notes, within it, the calls of torch's operations with everything that a graph would hold of them.

    `made` are the results, which stay alive. Those of `earlier` times are `reused` where a call takes one.
    """

    def __init__(self, earlier: set[int]) -> None:
        super().__init__()
        self.noted: list[Call] = []
        self.made: list[Tensor] = []
        self.earlier, self.reused = earlier, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        self.noted.append((str(func), tuple(_held(value) for value in leaves)))
        taken = {_memory(leaf) for leaf in leaves if isinstance(leaf, Tensor)}
        if not self.reused and taken & self.earlier:
            self.reused = str(func)
        out = func(*args, **(kwargs or {}))
        # A view is of memory that was there before.
        self.made += [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and _memory(leaf) not in taken]
        return out


def _memory(tensor: Tensor) -> int:
    """What tells the memory of tensors that are alive apart, on the meta device too."""
    return tensor.untyped_storage()._cdata


def _held(value: Any) -> Any:
    """Of an argument: a tensor's shape and type, and the numbers of one that lies in the memory of the host."""
    if not isinstance(value, Tensor):
        return value if isinstance(value, int | float | str | None) else str(value)
    numbers = None if value.is_meta else tuple(value.flatten().tolist())
    return tuple(value.shape), str(value.dtype), numbers


def recorder_of(spec: RunSpec, data: Reals, device: torch.device) -> Recorder | None:
    """What turns the parts of a run's iterations into CUDA graphs, or None where they run as written; logs which.

    Draws from torch's global generators: seed them afterwards.
    """
    if (record := recorder_on(device)) is None:
        return None
    if reason := why_not_captured(spec, data.channels, data.classes):
        logger.info("%s: no CUDA graphs, which is slower. %s", spec.run_id, reason)
        return None
    logger.info("%s: steps run as CUDA graphs", spec.run_id)
    return record


def why_not_captured(spec: RunSpec, channels: int, classes: int) -> str | None:
    """Why the iterations of a run cannot be captured, in words; None: they can. `classes` is 0 without labels."""
    if world_size() > 1:
        return f"{world_size()} processes train it together"
    trainer = _on_meta(spec, channels, classes)
    if unstated := [name for name, method in trainer.method.methods.items() if not method.capturable]:
        return f"{', '.join(unstated)} does not say that it can be captured (Method.capturable)"
    x, c = trainer.reals(0)
    batch = spec.hyper["batch"] * spec.hyper["d_steps"]
    total = spec.total_nimg // batch
    alive: list[Tensor] = []
    earlier: set[int] = set()
    for name, part in trainer.parts.items():
        if f"{name} {WITH_REGULARIZER}" in trainer.parts:
            continue  # is a part of that one
        usual: list[Call] = []
        for time, iteration in enumerate((0, 1, max(total // PERIOD, 1) * PERIOD)):
            try:
                with Calls(earlier) as calls:
                    part(iteration * batch, x, c)
            except Exception as error:  # whatever needs contents
                return f"{name}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            if calls.reused:
                return f"{name}: {calls.reused} at iteration {iteration} takes a tensor that an earlier step has made"
            if time == 0:
                continue
            usual = usual or calls.noted
            if difference := _difference(usual, calls.noted):
                return f"{name}: {difference} at iterations 1 and {iteration}"
            alive += calls.made
            earlier |= set(map(_memory, calls.made))
    return None


def _on_meta(spec: RunSpec, channels: int, classes: int) -> Trainer:
    """The networks of a run, as many images as its steps take, and optimisers that do nothing."""
    batch = spec.hyper["batch"]
    images = np.zeros((2 * batch, channels, spec.resolution, spec.resolution), dtype=np.uint8)
    labels = np.zeros(len(images), dtype=np.int64) if classes else None
    train, held_out = list(range(batch)), list(range(batch, 2 * batch))
    data = Reals(images, labels, classes, train, held_out, spec.hyper["mirror"], 0, META, "device")
    trainer = Trainer(spec, data, META)
    for player in (trainer.g_player, trainer.d_player):
        player.optimizer.step = _no_step  # type: ignore[assignment, method-assign]  # Adam's kernels do not run here
    return trainer


def _no_step() -> None:
    """Stands in for the step of an optimiser."""


def _difference(first: list[Call], other: list[Call]) -> str | None:
    """Where two lists of calls differ, in words."""
    for one, two in zip_longest(first, other, fillvalue=("nothing", ())):
        if one[0] != two[0]:
            return f"{one[0]} and {two[0]}"
        if one != two:
            values = next((a, b) for a, b in zip_longest(one[1], two[1]) if a != b)
            return f"{one[0]} with {values[0]} and {values[1]}"
    return None
