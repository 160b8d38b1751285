"""Each hook of a run's method, called before training starts, on networks that are then thrown away.

A transform that cuts the gradient or a loss that is a constant trains without complaint and measures something else
than its name says. The trial finds it in the time of one iteration, and the loop stays free of checks.
"""

from __future__ import annotations

import gc
import inspect
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from leangan.core.distributed import drawing_own_rows
from leangan.core.pixels import as_float
from leangan.core.project import show_path
from leangan.core.ranks import rank, world_size
from leangan.core.spec import RunSpec
from leangan.plugins.backbone import Backbone
from leangan.plugins.check import (
    HookError,
    check_gradients,
    check_images,
    check_log,
    check_loss,
    check_output,
    check_ranks,
)
from leangan.plugins.compose import Compose
from leangan.plugins.fault import is_plugin_fault
from leangan.plugins.method import DStep, GStep, Method, Networks, Role, Step
from leangan.plugins.networks import build_networks
from leangan.plugins.notes import Notes, collected

OBSERVED = 4
"""D steps that controllers hear of, as many as ADA's lets pass between two decisions."""


class TrainingImages(Protocol):
    """What the trial needs of a run's images: `training.reals.Reals` has it."""

    channels: int
    classes: int

    def first(self, count: int) -> tuple[Tensor, Tensor | None]: ...

    def random_labels(self, count: int) -> Tensor | None: ...


@dataclass(frozen=True)
class _Iteration:
    """What the two steps of the trial have: the networks, the method and one batch."""

    backbone: Backbone
    networks: Networks
    method: Compose
    x_real: Tensor
    c_real: Tensor | None
    z: Tensor
    c_fake: Tensor | None


def try_hooks(spec: RunSpec, data: TrainingImages, device: torch.device) -> None:
    """Raise HookError, which names file and line, where a hook of the run's method breaks its contract.

    Draws from torch's global generators: seed them afterwards.
    """
    _try_all(spec, data, device)
    # Networks that methods have changed may refer to themselves: freed later, they would stay in a GPU's memory.
    gc.collect()


def _try_all(spec: RunSpec, data: TrainingImages, device: torch.device) -> None:
    """The same; all that it makes is of no use afterwards."""
    backbone, G, D, method = build_networks(spec, data.channels, data.classes)
    G, D, method = G.to(device).train(), D.to(device).train(), method.to(device).train()
    images, c_real = data.first(spec.hyper["batch"] // world_size())
    with drawing_own_rows():
        z, c_fake = torch.randn(len(images), G.z_dim, device=device), data.random_labels(len(images))
        tried = _Iteration(backbone, Networks(G, D, spec), method, as_float(images), c_real, z, c_fake)
        G.requires_grad_(False)
        _try_d_step(tried)
        G.requires_grad_(True)
        D.requires_grad_(False)
        method.requires_grad_(False)
        _try_g_step(tried)
    for part in method.methods.values():
        check_ranks(part)
        check_log(part, _called(part, "log"))


def _try_d_step(tried: _Iteration) -> None:
    """What a D step asks of the method, in its order."""
    G, D, method, x_real, c_real = tried.networks.G, tried.networks.D, tried.method, tried.x_real, tried.c_real
    x_fake = G(tried.z, tried.c_fake)
    check_output(G, "images", x_fake, x_real.shape)
    for part in method.methods.values():
        with torch.no_grad():
            mixed = _called(part, "mix", x_real, x_fake)
        check_images(part, "mix", mixed, x_real)
        x_real = mixed
    t_real, drawn_real = _transformed(method, x_real, "real")
    t_fake, drawn_fake = _transformed(method, x_fake, "fake_d")
    real, fake = D.judge_both((t_real, c_real), (t_fake, tried.c_fake))
    (f_real, d_real, noted_real), (f_fake, d_fake, noted_fake) = real, fake
    check_output(D, "logits", d_real, (len(x_real), 1))
    ctx = DStep(
        G=G,
        D=D,
        transform=method.transform,
        cur_nimg=0,
        z=tried.z,
        c_fake=tried.c_fake,
        x_fake=x_fake,
        t_fake=t_fake,
        f_fake=f_fake,
        d_fake=d_fake,
        drawn_fake=drawn_fake,
        noted_fake=noted_fake,
        c_real=c_real,
        x_real=x_real,
        t_real=t_real,
        f_real=f_real,
        d_real=d_real,
        drawn_real=drawn_real,
        noted_real=noted_real,
        criterion=tried.backbone.d_loss,
    )
    _try_losses(method, ("d_adversarial", "d_loss"), ctx, tried.backbone.d_adversarial(ctx))
    if tried.backbone.d_reg_interval:
        _try_regularizer(tried, t_real)
    # New networks say much the same of all images. What controllers hear differs between ranks.
    apart = 1 - 2 * (rank() % 2)
    for part in method.methods.values():
        for _ in range(OBSERVED):
            _called(part, "observe", d_real.detach() + apart, d_fake.detach() + apart, 0)
            _called(part, "observe_validation", d_real.detach() + apart, 0)


def _try_g_step(tried: _Iteration) -> None:
    """What a G step asks of the method."""
    G, D, method = tried.networks.G, tried.networks.D, tried.method
    x_fake = G(tried.z, tried.c_fake)
    _transformed(method, x_fake, "fake_g")
    with collected() as drawn_fake:
        t_fake = method.transform(x_fake, "fake_g")
    f_fake, d_fake, noted_fake = D.judge(t_fake, tried.c_fake)
    ctx = GStep(
        G=G,
        D=D,
        transform=method.transform,
        cur_nimg=0,
        z=tried.z,
        c_fake=tried.c_fake,
        x_fake=x_fake,
        t_fake=t_fake,
        f_fake=f_fake,
        d_fake=d_fake,
        drawn_fake=drawn_fake,
        noted_fake=noted_fake,
        reals=lambda: (tried.x_real, tried.c_real),
        criterion=tried.backbone.g_loss,
    )
    _try_losses(method, ("g_adversarial", "g_loss"), ctx, tried.backbone.g_loss(ctx.d_fake))
    for part in method.methods.values():
        _called(part, "after_g_step", tried.networks, 0)


def _try_losses(method: Compose, hooks: tuple[str, str], ctx: Step, loss: Tensor) -> None:
    """The hooks that replace and add losses, each checked."""
    replaced, added = hooks
    for part in method.methods.values():
        loss = _called(part, replaced, ctx, loss)
        check_loss(part, replaced, loss)
    for part in method.methods.values():
        check_loss(part, added, _called(part, added, ctx))


def _try_regularizer(tried: _Iteration, t_real: Tensor) -> None:
    """What D's regulariser asks of the method, with the slope taken at what D sees."""
    at = t_real.detach().requires_grad_()
    penalty = partial(tried.backbone.d_regularizer, at)
    loss = penalty(tried.networks.D(at, tried.c_real))
    for part in tried.method.methods.values():
        loss = _called(part, "d_regularizer", loss, at, tried.c_real, penalty)
        check_loss(part, "d_regularizer", loss)


def _transformed(method: Compose, x: Tensor, role: Role) -> tuple[Tensor, Notes]:
    """`x` after every transform, each of them checked, and what they noted."""
    with collected() as drawn:
        for part in method.methods.values():
            x = x.detach().requires_grad_()
            out = _called(part, "transform", x, role)
            check_images(part, "transform", out, x)
            check_gradients(part, role, out, x)
            x = out
    return x.detach(), drawn


def _called(part: Method, hook: str, *arguments: Any) -> Any:
    """The hook's result; an exception of its own becomes a HookError with the line of the method's file."""
    try:
        return getattr(part, hook)(*arguments)
    except Exception as error:
        if not is_plugin_fault(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == inspect.getfile(type(part))] or frames
        where = f"{show_path(own[-1].filename)}, line {own[-1].lineno}"
        raise HookError(f"{where}: {hook} raised {type(error).__name__}: {error}") from error
