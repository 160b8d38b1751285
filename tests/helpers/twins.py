"""One computation in two places: in float32 on the device and in float64 on the CPU, with the same random numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from leangan.core.spec import RunSpec
from leangan.plugins.controller import Controller
from leangan.plugins.precision import half_precision
from leangan.training.placement import Placement
from leangan.training.reals import Reals
from leangan.training.trainer import Player, Trainer
from tests.helpers.rank_worker import double_precision

CPU = torch.device("cpu")
PARTS = ("G", "D", "method")


def random_reals(spec: RunSpec, device: torch.device, classes: int = 3, placement: Placement = "auto") -> Reals:
    """Random images of three batches, the last of them held out, with labels where `spec` is conditional."""
    batch, rng = spec.hyper["batch"], np.random.default_rng(0)
    images = rng.integers(0, 256, (3 * batch, 3, spec.resolution, spec.resolution), dtype=np.uint8)
    labels = rng.integers(0, classes, len(images)) if spec.conditional else None
    train, held_out = list(range(2 * batch)), list(range(2 * batch, 3 * batch))
    return Reals(images, labels, classes, train, held_out, spec.hyper["mirror"], 0, device, placement)


class DrawnOnCpu(TorchFunctionMode):
    """Within it, random tensors come from the CPU's generator in float32, then go where they were asked for."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.rand, torch.randn):
            device, dtype = kwargs.pop("device", CPU), kwargs.pop("dtype", None) or torch.get_default_dtype()
            return func(*args, **kwargs, dtype=torch.float32).to(device, dtype)
        if func is torch.randint:
            device = kwargs.pop("device", CPU)
            return func(*args, **kwargs).to(device)
        if func in (torch.rand_like, torch.randn_like):
            (x,) = args
            draw = torch.rand if func is torch.rand_like else torch.randn
            return draw(x.shape, dtype=torch.float32).to(x)
        return func(*args, **kwargs)


class Notes:
    """Takes the place of a `Player`: notes losses and their gradients, and does not move."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.losses: list[Tensor] = []
        self.gradients: list[list[Tensor | None]] = []

    def step(self, loss: Callable[[], Tensor]) -> Tensor:
        for param in self.player.params:
            param.requires_grad_(True)
        value = loss()
        self.gradients.append(list(torch.autograd.grad(value, self.player.params, allow_unused=True)))
        self.losses.append(value.detach())
        self.player.rest()
        return value.detach()


def networks_at_work(spec: RunSpec, device: torch.device) -> Trainer:
    """The networks of a run on `device`, with values for what starts at 0 and has no effect until it is learned."""
    steps = Trainer(spec, random_reals(spec, device), device)
    with torch.no_grad():
        for network in (steps.G, steps.D):
            for param in network.parameters():
                if param.ndim <= 1:
                    param += 0.1 * torch.randn(param.shape).to(device)
        for part in steps.method.modules():
            if isinstance(part, Controller):
                part.p.fill_(0.5)
    return steps


def in_double(spec: RunSpec, steps: Trainer) -> Trainer:
    """The same networks in float64 on the CPU; to be used within `double_precision`."""
    with double_precision():
        twin = Trainer(spec, random_reals(spec, CPU), CPU)
    for part in PARTS:
        getattr(twin, part).load_state_dict(getattr(steps, part).state_dict())
    return twin


def iteration(steps: Trainer) -> tuple[Notes, Notes]:
    """What G and D would learn in an iteration in which all regularisers are due, from fixed random numbers."""
    steps.g_player, steps.d_player = g, d = Notes(steps.g_player), Notes(steps.d_player)
    torch.manual_seed(1)
    with DrawnOnCpu():
        steps.g_step(0, iteration=0)
        steps.d_step(0, iteration=0)
    return g, d


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """16-bit layers of a preset with this type compute in it; on a CPU they have to be asked."""
    return half_precision(dtype) if device.type == "cpu" else nullcontext()


def difference(value: Tensor, expected: Tensor) -> float:
    """|value - expected| in the L2 norm; the expected tensor is on the CPU."""
    return (value.detach().cpu().double() - expected.detach().double()).norm().item()


def error(value: Tensor, expected: Tensor) -> float:
    """The same relative to the expected tensor."""
    return difference(value, expected) / expected.detach().double().norm().item()
