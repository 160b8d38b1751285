"""What an iteration asks of a GPU: `python -m benchmarks.calls --preset cifar --method none ada`.

Runs the training steps on the meta device, whose tensors have no contents, and counts the calls of operations that have
a kernel, the bytes that they move, and the operations of convolutions and matrix products. It needs no GPU. See
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import operator
import sys
from collections.abc import Callable, Collection
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.iteration import Iterations
from benchmarks.setting import check_runs, positive
from leangan.core.errors import exit_on_user_error
from leangan.plugins.precision import HALF_TYPES, half_precision

META = torch.device("meta")

PARTS = ("G step", "path length", "D step", "R1", "held-out", "average of G")
"""The parts of an iteration, as columns."""

CONVOLUTIONS = ("convolution", "convolution_backward")

FILTERS = {"stylegan2": frozenset(["avg_pool2d", "avg_pool2d_backward", "upsample_nearest2d"])}
"""The operations of a backbone's low-pass, which it has for nothing else. BigGAN pools without one."""

NO_KERNEL = frozenset(
    """_reshape_alias _unsafe_view alias as_strided chunk detach diagonal empty empty_like empty_strided expand lift
    lift_fresh new_empty new_empty_strided permute resize_ select slice split split_with_sizes squeeze t transpose
    unbind unfold unsqueeze view""".split()
)
"""Operations that make another view of memory, or claim some: the host does them alone."""

OVERWRITING = frozenset("bernoulli_ copy_ exponential_ fill_ normal_ random_ uniform_ zero_".split())
"""Operations that do not read the tensor that they change."""


@dataclass
class Cost:
    """What a part of an iteration asks of the device; sums and multiples of it are costs as well.

    `calls` of operations that have a kernel, `convolutions` among them, forward and backward. `flop16` and `flop32` are
    the operations of convolutions and matrix products in 16 and in 32 bits, a multiplication and an addition being two.
    `filtered` are the bytes that StyleGAN2's low-pass reads and writes; `moved` those of all other calls that multiply
    no matrices.
    """

    calls: float = 0
    convolutions: float = 0
    flop16: float = 0
    flop32: float = 0
    filtered: float = 0
    moved: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*map(operator.sub, astuple(self), astuple(other)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(times * value for value in astuple(self)))


class Calls(TorchDispatchMode):
    """Adds up what is called within it; `filters` are the operations that belong to a low-pass."""

    def __init__(self, filters: Collection[str] = ()) -> None:
        super().__init__()
        self.cost, self.filters = Cost(), filters

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._opname
        if name in NO_KERNEL:
            return out
        cost = self.cost
        cost.calls += 1
        cost.convolutions += name in CONVOLUTIONS
        read = args[1:] if name in OVERWRITING else args
        tensors = [leaf for leaf in tree_leaves((read, kwargs, out)) if isinstance(leaf, Tensor)]
        if name in self.filters:
            cost.filtered += sum(map(bytes_of, tensors))
        elif (operations := flop_registry.get(func._overloadpacket)) is not None:
            count = operations(*args, **(kwargs or {}), out_val=out)
            if any(tensor.dtype in HALF_TYPES.values() for tensor in tensors):
                cost.flop16 += count
            else:
                cost.flop32 += count
        else:
            cost.moved += sum(map(bytes_of, tensors))
        return out


def bytes_of(tensor: Tensor) -> int:
    """The bytes of a tensor; where one value stands for a whole axis, it counts once."""
    own = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    return tensor.element_size() * math.prod(own)


class Part(NamedTuple):
    """A part of an iteration: how often an iteration has it on average, and what it costs when it does."""

    times: float
    cost: Cost


def parts(
    preset: str,
    method: str,
    resolution: int,
    classes: int = 0,
    batch: int | None = None,
    replaced: dict[str, Any] | None = None,
) -> dict[str, Part]:
    """The parts of an iteration by name, on colour images, with 16-bit types as on a GPU.

    `batch` (None: the preset's) and `replaced` change the preset. A lazy regulariser is a part of its own: what a step
    in which it is due costs more than another. One that is due in every step belongs to it.
    """
    # torch refuses fused Adam on a device that it has no kernels for; nothing is computed here.
    with patch("torch.optim.adam._device_dtype_check_for_fused"):
        iterations = Iterations(preset, method, resolution, 3, classes, batch, META, replaced)
        half = HALF_TYPES.get(iterations.hyper.get("half_type", "none"), torch.float32)
        with half_precision(half):
            return counted(iterations)


def counted(iterations: Iterations) -> dict[str, Part]:
    """The parts of `iterations`, whose tensors are on the meta device."""
    trainer, d_steps = iterations.trainer, iterations.hyper["d_steps"]
    every_g, every_d = trainer.backbone.g_reg_interval, trainer.backbone.d_reg_interval

    def cost(call: Callable[..., object], *args: Any) -> Cost:
        with Calls(FILTERS.get(iterations.backbone, ())) as calls:
            call(*args)
        return calls.cost

    # The first iteration makes what is kept from then on, such as filters and moments. In the last, all is due again.
    steps = (trainer.g_step, trainer.d_step)
    _, (g, d), (g_due, d_due) = (
        [cost(step, turn * iterations.nimg, iteration) for step in steps] for turn, iteration in enumerate((0, 1, 0))
    )
    found = {"G step": Part(1, g), "D step": Part(d_steps, d)}
    if every_g > 1:
        found["path length"] = Part(1 / every_g, g_due - g)
    if every_d > 1:
        found["R1"] = Part(d_steps / every_d, d_due - d)
    found["held-out"] = Part(1 / trainer.validation_interval, [cost(trainer.validate, 0, 0) for _ in range(2)][-1])
    found["average of G"] = Part(1, cost(iterations.ema.update, trainer.G, 0, iterations.nimg))
    return found


def per_iteration(found: dict[str, Part]) -> Cost:
    """The mean cost of an iteration."""
    return sum((part.cost * part.times for part in found.values()), Cost())


def line(preset: str, method: str, found: dict[str, Part]) -> str:
    """A row of the table."""
    whole = per_iteration(found)
    shown = [found[name].cost if name in found else None for name in PARTS]
    calls = [f"{cost.calls:.0f} ({cost.convolutions:.0f})" if cost else "" for cost in (*shown, whole)]
    sums = [f"{value / 1e9:.3g}" for value in (whole.moved, whole.filtered)]
    operations = [f"{value / 1e9:.0f}" for value in (whole.flop16, whole.flop32)]
    return "| " + " | ".join([preset, method, *calls, *sums, *operations]) + " |"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calls",
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--preset", nargs="+", default=["cifar"], help="rows of config/presets.yaml")
    parser.add_argument("--method", nargs="+", default=["none"], help="rows of config/methods.yaml, files of augment/")
    parser.add_argument("--resolution", type=positive, default=32, help="pixels")
    parser.add_argument("--classes", type=int, default=0, help="0: unconditional")
    parser.add_argument("--batch", type=positive, help="default: the preset's")
    args = parser.parse_args(argv)
    check_runs(args.preset, args.method, args.resolution)
    columns = [*PARTS, "an iteration", "GB", "GB filtered", "GFLOP, 16 bits", "GFLOP, 32 bits"]
    print("| preset | method | " + " | ".join(columns) + " |")
    print("| --- | --- |" + " ---: |" * len(columns), flush=True)
    for preset, method in itertools.product(args.preset, args.method):
        print(line(preset, method, parts(preset, method, args.resolution, args.classes, args.batch)), flush=True)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
