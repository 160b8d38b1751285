"""One G step and one D step, with every hook of the method at its place (arXiv:1912.04958; arXiv:2006.06676).

Each is a `Part`, which runs as it is written or as a CUDA graph. What is written here therefore only queues work, and
works on tensors that stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from leangan.core.cuda_graph import Recorder
from leangan.core.distributed import GradientAverage, from_rank_0
from leangan.core.ranks import world_size
from leangan.core.spec import RunSpec
from leangan.plugins.method import DStep, GStep, Networks, Role
from leangan.plugins.networks import build_networks
from leangan.plugins.notes import Notes, collected
from leangan.training.capture import Part
from leangan.training.log import Tally
from leangan.training.reals import Reals

VALIDATION_INTERVALS = {True: 4, False: 15}
"""Iterations from one held-out batch to the next: where the method needs them, and where they are for the log alone.
The latter has no factor in common with the intervals of lazy regularisers, after which D is another for a while."""

WITH_REGULARIZER = "with regulariser"
"""Of the name of a part of an iteration that contains the lazy regulariser."""


class NotApplicable(Exception):
    """A run makes no sense with its data, which is known only when that is at hand; the message says why."""


def adam(params: list[nn.Parameter], lr: float, hyper: dict[str, Any], reg_interval: int) -> torch.optim.Adam:
    """Adam; with a lazy regulariser, lr and betas allow for its extra steps (arXiv:1912.04958, appendix B).

    A checkpoint gives it moments and step counts. Rates and the kind of kernels stay those of this process: they follow
    from the spec and the device, which need not be the one that the checkpoint was written on.
    """
    ratio = reg_interval / (reg_interval + 1) if reg_interval > 1 else 1.0
    betas = tuple(float(beta) ** ratio for beta in hyper["betas"])
    on_gpu = any(param.is_cuda for param in params)  # where a CUDA graph may hold the step
    optimizer = torch.optim.Adam(params, lr=lr * ratio, betas=betas, eps=hyper["eps"], fused=True, capturable=on_gpu)
    optimizer.register_load_state_dict_pre_hook(_with_own_groups)
    optimizer.register_load_state_dict_post_hook(_laid_out_as_parameters)
    return optimizer


def _with_own_groups(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A saved state with the groups of `optimizer` instead of the saved ones; parameters keep their saved numbers."""
    pairs = zip(optimizer.param_groups, state["param_groups"], strict=True)
    return {**state, "param_groups": [{**own, "params": saved["params"]} for own, saved in pairs]}


def _laid_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give the moments the memory layout of their parameters, which a checkpoint of earlier versions need not have.

    Fused kernels walk through the memory of both: on a CPU they take other layouts and compute nonsense.
    """
    for param, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == param.shape and value.stride() != param.stride():
                state[name] = torch.empty_like(param).copy_(value)


class Player:
    """One side of the game: the parameters it moves and how."""

    def __init__(self, params: list[nn.Parameter], lr: float, hyper: dict[str, Any], reg_interval: int) -> None:
        # What a method froze stays frozen; the rest is switched on for this player's own steps only,
        # so that the other's steps spend nothing on gradients that nobody uses.
        self.params = [p for p in params if p.requires_grad]
        self.optimizer = adam(self.params, lr, hyper, reg_interval)
        self.average = GradientAverage(self.params)
        self.rest()

    def rest(self) -> None:
        for param in self.params:
            param.requires_grad_(False)

    def step(self, loss: Callable[[], Tensor]) -> Tensor:
        """One optimiser step on `loss()`, the mean over this rank's images; returns it."""
        for param in self.params:
            param.requires_grad_(True)
        value = loss()
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.average.finish()
        self.optimizer.step()
        self.rest()
        return value.detach()


def is_due(every: int, iteration: int) -> bool:
    """Whether a lazy regulariser, of every so many iterations, is due; one of every step is part of the step."""
    return every > 1 and iteration % every == 0


class Trainer:
    """Networks, method and optimisers of a run, and the two steps that train them.

    record: turns the parts of an iteration into CUDA graphs (`core.cuda_graph.captured`); None: all run as written.
    """

    def __init__(self, spec: RunSpec, data: Reals, device: torch.device, record: Recorder | None = None) -> None:
        self.data, self.device, self.hyper = data, device, spec.hyper
        self.batch = spec.hyper["batch"]
        self.own_batch = self.batch // world_size()
        self.backbone, G, D, method = build_networks(spec, data.channels, data.classes)
        if method.needs_validation and len(data.validation) < self.batch:
            raise NotApplicable(
                f"it needs a batch of {self.batch} held-out images; the run holds out {len(data.validation)}"
            )
        self.G, self.D, self.method = G.to(device).train(), D.to(device).train(), method.to(device)
        self.networks = Networks(self.G, self.D, spec)
        from_rank_0(self.G, self.D, self.method)
        backbone, hyper = self.backbone, spec.hyper
        self.g_player = Player(list(G.parameters()), hyper["lr_g"], hyper, backbone.g_reg_interval)
        d_params = [*D.parameters(), *method.parameters()]
        self.d_player = Player(d_params, hyper["lr_d"], hyper, backbone.d_reg_interval)
        self.tally = Tally()
        self.validation_interval = VALIDATION_INTERVALS[method.needs_validation]
        functions: dict[str, Callable[..., None]] = {
            "G step": partial(self._g_step, lazy=False),
            "D step": partial(self._d_step, lazy=False),
            "held-out batch": self._validate,
        }
        if backbone.g_reg_interval > 1:
            functions[f"G step {WITH_REGULARIZER}"] = partial(self._g_step, lazy=True)
        if backbone.d_reg_interval > 1:
            functions[f"D step {WITH_REGULARIZER}"] = partial(self._d_step, lazy=True)
        self.parts = {name: Part(name, function, self.tally, record) for name, function in functions.items()}
        self._loaded: tuple[int, tuple[Tensor, Tensor | None]] | None = None

    def latents(self) -> tuple[Tensor, Tensor | None]:
        """This rank's part of a batch of z ~ N(0, 1) and of labels drawn from the training images' own."""
        return torch.randn(self.own_batch, self.G.z_dim, device=self.device), self.data.random_labels(self.own_batch)

    def reals(self, cur_nimg: int) -> tuple[Tensor, Tensor | None]:
        """This rank's part of the batch of reals that starts at `cur_nimg`, and their labels."""
        if self._loaded is None or self._loaded[0] != cur_nimg:
            self._loaded = cur_nimg, self.data.batch(cur_nimg, self.batch)
        return self._loaded[1]

    def g_step(self, cur_nimg: int, iteration: int) -> None:
        """Move G so that D takes its images for real; then, where it is due, G's lazy regulariser."""
        lazy = is_due(self.backbone.g_reg_interval, iteration)
        self.parts[f"G step {WITH_REGULARIZER}" if lazy else "G step"](cur_nimg, *self.reals(cur_nimg))

    def d_step(self, cur_nimg: int, iteration: int) -> None:
        """Move D to tell reals from fakes; then, where it is due, D's lazy regulariser; then the controllers."""
        lazy = is_due(self.backbone.d_reg_interval, iteration)
        self.parts[f"D step {WITH_REGULARIZER}" if lazy else "D step"](cur_nimg, *self.reals(cur_nimg))

    def _g_step(self, cur_nimg: int, x_real: Tensor, c_real: Tensor | None, lazy: bool) -> None:
        every = self.backbone.g_reg_interval

        def adversarial() -> Tensor:
            z, c = self.latents()
            x_fake = self.G(z, c)
            t_fake, drawn_fake = self._transform(x_fake, "fake_g")
            f_fake, d_fake, noted_fake = self.D.judge(t_fake, c)
            self.tally.add(accuracy_fake_g=d_fake < 0)
            ctx = GStep(
                G=self.G,
                D=self.D,
                transform=self.method.transform,
                cur_nimg=cur_nimg,
                z=z,
                c_fake=c,
                x_fake=x_fake,
                t_fake=t_fake,
                f_fake=f_fake,
                d_fake=d_fake,
                drawn_fake=drawn_fake,
                noted_fake=noted_fake,
                reals=lambda: (x_real, c_real),
                criterion=self.backbone.g_loss,
            )
            loss = self.method.g_adversarial(ctx, self.backbone.g_loss(d_fake)) + self.method.g_loss(ctx)
            return loss + regularizer() if every == 1 else loss

        def regularizer() -> Tensor:
            return self.backbone.g_regularizer(self.G, *self.latents())

        self.tally.add(loss_g=self.g_player.step(adversarial))
        if lazy:
            self.tally.add(path_length=self.g_player.step(lambda: every * regularizer()) / every)
        self.method.after_g_step(self.networks, cur_nimg)

    def _d_step(self, cur_nimg: int, x_real: Tensor, c_real: Tensor | None, lazy: bool) -> None:
        every = self.backbone.d_reg_interval
        z, c_fake = self.latents()
        with torch.no_grad():
            x_fake = self.G(z, c_fake)
            x_real = self.method.mix(x_real, x_fake)
        logits: dict[str, Tensor] = {}

        def adversarial() -> Tensor:
            at, t_real, drawn_real = self._transformed_reals(x_real, with_gradient=every == 1)
            if every == 1:  # a second derivative through the fakes as well would cost more than a pass for each
                real = self.D.judge(t_real, c_real)
                t_fake, drawn_fake = self._transform(x_fake, "fake_d")
                fake = self.D.judge(t_fake, c_fake)
            else:
                t_fake, drawn_fake = self._transform(x_fake, "fake_d")
                real, fake = self.D.judge_both((t_real, c_real), (t_fake, c_fake))
            (f_real, d_real, noted_real), (f_fake, d_fake, noted_fake) = real, fake
            logits.update(d_real=d_real.detach(), d_fake=d_fake.detach())
            self.tally.add(accuracy_real=d_real > 0, accuracy_fake_d=d_fake < 0)
            ctx = DStep(
                G=self.G,
                D=self.D,
                transform=self.method.transform,
                cur_nimg=cur_nimg,
                z=z,
                c_fake=c_fake,
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
                criterion=self.backbone.d_loss,
            )
            loss = self.method.d_adversarial(ctx, self.backbone.d_adversarial(ctx)) + self.method.d_loss(ctx)
            return loss + self._regularizer(at, t_real, c_real, d_real) if every == 1 else loss

        def regularizer() -> Tensor:
            at, t_real, _ = self._transformed_reals(x_real, with_gradient=True)
            return every * self._regularizer(at, t_real, c_real, self.D(t_real, c_real))

        self.tally.add(loss_d=self.d_player.step(adversarial), **logits)
        if lazy:
            self.d_player.step(regularizer)
        self.method.observe(logits["d_real"], logits["d_fake"], cur_nimg)

    def _transform(self, x: Tensor, role: Role) -> tuple[Tensor, Notes]:
        """Images as D will see them, and what the transforms noted."""
        with collected() as drawn:
            return self.method.transform(x, role), drawn

    def _transformed_reals(self, x: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor, Notes]:
        """(the images at which R1 takes its gradient, the reals as D will see them, what the transforms noted)."""
        x = x.detach().requires_grad_(with_gradient and self.backbone.r1_at == "real")
        t, drawn = self._transform(x, "real")
        if with_gradient and self.backbone.r1_at == "augmented":
            x = t = t.detach().requires_grad_()
        return x, t, drawn

    def _regularizer(self, at: Tensor, t_real: Tensor, c_real: Tensor | None, d_real: Tensor) -> Tensor:
        penalty = partial(self.backbone.d_regularizer, at)
        loss = penalty(d_real)
        self.tally.add(r1=loss)
        return self.method.d_regularizer(loss, t_real, c_real, penalty)

    def validate(self, cur_nimg: int, iteration: int) -> None:
        """Now and then, D's logits of a batch of held-out reals, seen as it sees its own; see VALIDATION_INTERVALS.

        Draws random numbers, so it comes last in an iteration: the next one seeds them again.
        """
        turn, rest = divmod(iteration, self.validation_interval)
        if not rest and len(self.data.validation) >= self.batch:
            self.parts["held-out batch"](cur_nimg, *self.data.validation_batch(turn * self.batch, self.batch))

    @torch.no_grad()
    def _validate(self, cur_nimg: int, x: Tensor, c: Tensor | None) -> None:
        self.D.eval()
        d_valid = self.D(self.method.transform(x, "real"), c)
        self.D.train()
        self.tally.add(d_valid=d_valid, accuracy_held_out=d_valid > 0)
        self.method.observe_validation(d_valid, cur_nimg)

    def _stateful(self) -> dict[str, Any]:
        optimizers = {"opt_g": self.g_player.optimizer, "opt_d": self.d_player.optimizer}
        return {"G": self.G, "D": self.D, "method": self.method, "tally": self.tally, **optimizers}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the position, from which all random numbers follow.

        Every rank must call it; all get the same, whatever their number.
        """
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])
        for part_of_iteration in self.parts.values():
            part_of_iteration.reset()
