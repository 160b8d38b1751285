"""The contract of a data-efficiency method: every hook optional, identity or nothing by default.

A method is one file `augment/<name>.py` that defines a class named `Method`. The training loop calls
each hook at one place and never asks which method it runs. State that must survive a restart lives
in buffers or parameters, so that a checkpoint holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

Role = Literal["real", "fake_d", "fake_g"]
"""Which images D is about to see: reals, fakes in D's step, fakes in G's step."""

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass
class Networks:
    """The trained pair, handed to `Method.prepare` before the optimisers and the EMA copy exist.

    `Method.initialize` gets more: `G_ema`, G's moving average, and `runs`, the folder in which the runs of the suite
    lie.
    """

    G: nn.Module
    D: nn.Module
    G_ema: nn.Module | None = None
    runs: Path | None = None


@dataclass
class StepContext:
    """What one D or G step has computed, for methods that add a loss.

    `x_real` and `x_fake` are images [N, C, H, W] in [-1, 1] before `transform`, `t_real` and `t_fake` what it made
    of them, `d_real` and `d_fake` the logits [N, 1] of the latter. In a G step `x_real`, `t_real` and `d_real` are
    None. `transform` is the composed transform of the run, for methods that need another view. `reals()` gives the
    reals of the D step to come and their labels, for methods whose G is compared with them.
    """

    G: nn.Module
    D: nn.Module
    transform: Callable[[Tensor, Role], Tensor]
    cur_nimg: int
    z: Tensor
    x_fake: Tensor
    d_fake: Tensor
    c_fake: Tensor | None = None
    x_real: Tensor | None = None
    d_real: Tensor | None = None
    c_real: Tensor | None = None
    t_fake: Tensor | None = None
    t_real: Tensor | None = None
    reals: Callable[[], tuple[Tensor, Tensor | None]] | None = None


class Method(nn.Module):
    """Base of all methods; does nothing. See the module docstring for the rules.

    Class attributes: `title` is the name in tables and figures, `paper` the source, `quick` the
    keyword arguments the contract tests use. `needs_held_out` is set by a method that learns nothing
    without `observe_held_out`, so that a run without held-out images is refused.
    """

    title: str = ""
    paper: str = ""
    quick: dict[str, Any] = {}
    needs_held_out: bool = False

    def prepare(self, networks: Networks) -> None:
        """Change or extend G and D before training starts, and whenever a snapshot of the run is loaded."""

    def initialize(self, networks: Networks) -> None:
        """Set the weights of the prepared networks that a new run starts from; not called where one continues."""

    def transform(self, x: Tensor, role: Role) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] as D shall see them; same shape, differentiable twice."""
        return x

    def mix(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        """The images that take the place of the reals in the D step."""
        return x_real

    def d_adversarial(self, ctx: StepContext, loss: Tensor) -> Tensor:
        """D's adversarial loss, a scalar in place of the backbone's, which is `loss`."""
        return loss

    def g_adversarial(self, ctx: StepContext, loss: Tensor) -> Tensor:
        """The same for G."""
        return loss

    def d_loss(self, ctx: StepContext) -> Tensor | float:
        """Scalar added to D's loss."""
        return 0.0

    def g_loss(self, ctx: StepContext) -> Tensor | float:
        """Scalar added to G's loss."""
        return 0.0

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        """Called after every D step with its logits, detached; controllers live here."""

    def observe_held_out(self, d_valid: Tensor, cur_nimg: int) -> None:
        """Called every 4 iterations after the D step with the logits of a batch of held-out reals.

        D sees them through `transform` and never learns from them. Not called where the run holds out
        fewer images than a batch.
        """

    def log(self) -> dict[str, float]:
        """Scalars for `train.jsonl`, read at every tick."""
        return {}

    @classmethod
    def skip(cls, spec: dict[str, Any]) -> str | None:
        """Why this method makes no sense for the run `spec`, or None; asked when the DAG is built."""
        return None
