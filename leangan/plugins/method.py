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

from leangan.core.spec import RunSpec
from leangan.plugins.notes import Notes
from leangan.plugins.pair import Discriminator, Generator

Role = Literal["real", "fake_d", "fake_g"]
"""Which images D is about to see: reals, fakes in D's step, fakes in G's step."""

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass
class Networks:
    """The trained pair and its run, handed to `Method.prepare` before the optimisers and the EMA copy exist.

    `prepare` may change G and D, or replace D by another `Discriminator`: the one that is here afterwards is trained.
    `spec` has the length of the run (`spec.total_nimg`), the number of training images and all hyper-parameters.

    `Method.initialize` also gets `G_ema`, G's moving average, and `parent`, the folder of the run whose networks this
    one starts from (it holds train.json and ckpt/). `parent` is None if the run has no parent.
    """

    G: Generator
    D: Discriminator
    spec: RunSpec
    G_ema: Generator | None = None
    parent: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """The part of `DStep` and `GStep` that both have: what a step gives to methods that add or replace a loss."""

    G: Generator
    """The generator: `G(z, c)` gives images [N, C, H, W] in [-1, 1]."""

    D: Discriminator
    """The discriminator: `D(x, c)` gives logits [N, 1], high for real."""

    transform: Callable[[Tensor, Role], Tensor]
    """The run's composed transform, for methods that need another view of an image."""

    cur_nimg: int
    """Number of real images shown to D before this step."""

    z: Tensor
    """The latents [N, z_dim] of the fakes."""

    c_fake: Tensor | None
    """The one-hot labels [N, classes] of the fakes; None if the run is unconditional."""

    x_fake: Tensor
    """The fakes G(z, c_fake), images [N, C, H, W] in [-1, 1] before `transform`."""

    t_fake: Tensor
    """The transformed fakes, as D saw them."""

    f_fake: Tensor
    """D's last hidden layer [N, width] for `t_fake`."""

    d_fake: Tensor
    """D's logits [N, 1] of `t_fake`."""

    drawn_fake: Notes
    """What the transforms noted while they made `t_fake` (`plugins.notes`)."""

    noted_fake: Notes
    """What layers of D noted in the pass that gave `d_fake`; in a D step also of the reals, unless D is `apart`."""


@dataclass(frozen=True, kw_only=True)
class DStep(Step):
    """What one D step has computed. No gradient flows from it to G."""

    c_real: Tensor | None
    """The one-hot labels [N, classes] of the reals; None if the run is unconditional."""

    x_real: Tensor
    """The reals after `mix`: images [N, C, H, W] in [-1, 1] before `transform`."""

    t_real: Tensor
    """The transformed reals, as D saw them."""

    f_real: Tensor
    """D's last hidden layer [N, width] for `t_real`."""

    d_real: Tensor
    """D's logits [N, 1] of `t_real`."""

    drawn_real: Notes
    """What the transforms noted while they made `t_real`."""

    noted_real: Notes
    """What layers of D noted in the pass that gave `d_real`; also of the fakes, unless D is `apart`."""

    criterion: Callable[[Tensor, Tensor], Tensor]
    """The backbone's adversarial loss of D, a scalar, for any logits [N, 1] of reals and of fakes."""


@dataclass(frozen=True, kw_only=True)
class GStep(Step):
    """What one G step has computed, from fakes alone."""

    reals: Callable[[], tuple[Tensor, Tensor | None]]
    """Returns the reals of the next D step and their labels, for methods whose G loss compares fakes with reals."""

    criterion: Callable[[Tensor], Tensor]
    """The backbone's adversarial loss of G, a scalar, for any logits [N, 1] of fakes."""


class Method(nn.Module):
    """Base of all methods; does nothing. See the module docstring for the rules.

    Class attributes: `title` is the name in tables and figures, `paper` the source. `constants` says where the default
    constants come from: paper, release (the authors' code), project (choices of this project), or several of them.
    `quick` are the keyword arguments that the contract tests use. `neutral` are those with which it changes nothing at
    all, together with p = 0 if it takes p; {} says that a method without p always changes something, and None states
    nothing. The contract tests ask for one
    of a method that acts in a step and takes no p. `needs` names the parts of the networks (`plugins.backbone.PARTS`)
    that the method reads or changes, so that a run whose backbone does not offer them is refused. `needs_validation` is
    set by a method that learns nothing without `observe_validation`, so that a run without held-out images is refused.
    `capturable` says that the method may become part of a CUDA graph: a step does the same on the device at every
    iteration, no Python number changes between iterations as `cur_nimg` does, and tensors stay where they are. A run
    checks it (`training.purity`). Without it the steps are slower.
    `revision` is part of a run's id and 0 at first. It is raised by each change, here or in code that the method uses,
    after which its runs draw other random numbers or follow another law; rounding does not count.
    `redraws` says that D, with the method, draws random numbers in each pass, so that two passes differ.
    `compares_passes` says that a loss compares what two passes of D say. A run whose methods do both is refused.
    `judges` names the extractors (leangan/metrics/extractors/) whose pre-trained network D looks through. Such a D
    trains G to please that network, so that a metric in its features does not rank the run.
    """

    title: str = ""
    paper: str = ""
    constants: str = ""
    quick: dict[str, Any] = {}
    neutral: dict[str, Any] | None = None
    needs: frozenset[str] = frozenset()
    needs_validation: bool = False
    capturable: bool = False
    revision: int = 0
    redraws: bool = False
    compares_passes: bool = False
    judges: tuple[str, ...] = ()

    def prepare(self, networks: Networks) -> None:
        """Change or extend G and D before training starts, and, if that changed G, when a snapshot is loaded."""

    def initialize(self, networks: Networks) -> None:
        """Set the weights of the prepared networks that a new run starts from; not called where one continues."""

    def transform(self, x: Tensor, role: Role) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] as D will see them; same shape, differentiable twice."""
        return x

    def mix(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        """The images that take the place of the reals in the D step."""
        return x_real

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        """D's adversarial loss, a scalar in place of the backbone's, which is `loss`."""
        return loss

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        """The same for G."""
        return loss

    def d_loss(self, ctx: DStep) -> Tensor | float:
        """Scalar added to D's loss."""
        return 0.0

    def g_loss(self, ctx: GStep) -> Tensor | float:
        """Scalar added to G's loss."""
        return 0.0

    def d_regularizer(
        self, loss: Tensor, t_real: Tensor, c_real: Tensor | None, penalty: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """D's regulariser, a scalar in place of the backbone's, which is `loss`; called where and when that is due.

        `t_real` are the reals as D sees them, and `penalty(logits)` is the backbone's regulariser for other logits
        [N, 1] of them, for methods that have more than one discriminator.
        """
        return loss

    def after_g_step(self, networks: Networks, cur_nimg: int) -> None:
        """Called after every G step, for what follows G's or D's weights: masks, moving averages."""

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        """Called after every D step with its logits, detached; controllers live here."""

    def observe_validation(self, d_valid: Tensor, cur_nimg: int) -> None:
        """Called with the logits of a batch of held-out reals after the D step: every 4 iterations if the method
        `needs_validation`, else every 15.

        D sees them through `transform` and never learns from them. Not called where the run holds out
        fewer images than a batch.
        """

    def log(self) -> dict[str, float]:
        """Scalars for `train.jsonl`, read at every tick."""
        return {}

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with those filled in that follow from others, and in one form if they train the same.

        A run's identity is made of the result. `arguments` are all those of the constructor, each of its type
        (leangan/plugins/arguments.py). Raises ValueError for a value that the method does not accept.
        """
        return arguments

    @classmethod
    def rank_groups(cls, arguments: dict[str, Any]) -> dict[str, int]:
        """Numbers that the images of each rank must be a multiple of, by the names that messages give them."""
        return {}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        """Why this method makes no sense for the run `spec`, or None.

        Asked when the DAG is built, where the backbone offers what the method `needs`.
        """
        return None
