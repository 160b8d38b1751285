"""The contract of a backbone: a generator, a discriminator, their losses and the preset keys they read.

A backbone is one file `models/<name>.py`, or a folder of that name, with a class named `Backbone`. It is built from one
row of `config/presets.yaml`, which holds the keys of the backbone (`Backbone.keys`), of the training loop
(`LOOP_KEYS`) and of the run (`RUN_KEYS`). `plugins.pair` has the contract of the two networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from leangan.core.errors import unknown_name
from leangan.core.values import canonical, name_of

if TYPE_CHECKING:  # reading a configuration needs the keys below, but not torch
    from torch import Tensor

    from leangan.plugins.method import DStep
    from leangan.plugins.pair import Discriminator, Generator

REQUIRED = object()
"""The default of a key that every preset must state."""


class Range(NamedTuple):
    """Which numbers a key allows, in words and as a test of one number."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("greater than 0", lambda number: number > 0)
NOT_NEGATIVE = Range("0 or more", lambda number: number >= 0)
BELOW_1 = Range("from 0 up and less than 1", lambda number: 0 <= number < 1)


class Key(NamedTuple):
    """One preset key: the type of its values, its default, its meaning and the range of its numbers, if it has one."""

    kind: Any
    default: Any
    meaning: str
    range: Range | None = None


LOOP_KEYS = {
    "batch": Key(int, REQUIRED, "images per step over all devices", POSITIVE),
    "lr_g": Key(float, REQUIRED, "Adam learning rate of G", NOT_NEGATIVE),
    "lr_d": Key(float, REQUIRED, "Adam learning rate of D", NOT_NEGATIVE),
    "betas": Key(tuple[float, float], [0.0, 0.99], "Adam betas of both networks", BELOW_1),
    "eps": Key(float, 1e-8, "Adam epsilon of both networks", NOT_NEGATIVE),
    "ema_half_life_kimg": Key(float, REQUIRED, "half-life of the moving average of G's weights", NOT_NEGATIVE),
    "ema_ramp": Key(
        float | None, None, "limit of the half-life as a fraction of the images shown so far; null: none", NOT_NEGATIVE
    ),
    "ema_start_kimg": Key(float, 0.0, "until then the average is a copy of G", NOT_NEGATIVE),
    "mirror": Key(bool, False, "flip every real image left-right with probability 1/2"),
    "d_steps": Key(int, 1, "D steps per G step", POSITIVE),
}
"""The keys of the training loop, which every backbone accepts and none reads."""

RUN_KEYS = {
    "backbone": Key(str, REQUIRED, "file in models/ that holds the backbone"),
    "citation": Key(str, REQUIRED, "where the values were published, beginning with arXiv:, or this project"),
    "kimg": Key(float, REQUIRED, "length of training at scale paper, thousands of real images shown to D", POSITIVE),
    "snapshot_kimg": Key(float, 200.0, "distance between measured snapshots at scale paper", POSITIVE),
}
"""Keys of a preset that describe the run and its length; neither the backbone nor the training loop reads them."""


SHARED_KEYS = {
    "adversarial_loss": "the adversarial loss, where there is a choice; wasserstein is one of them",
    "eval_statistics": "what G's norms use in evaluation, where there is a choice: batch, running or standing",
    "half_type": "the 16-bit type of layers that compute in one: bfloat16, float16 or none",
    "mapping_layers": "dense layers from z to w, with the part mapping",
    "r1_gamma": "weight of R1, gamma/2 E|grad D|^2; 0: no R1",
}
"""Keys that mean the same in every backbone that has them, so that others may look them up in `spec.hyper`. Where a
preset does not state `half_type`, the configuration's `arithmetic` does."""

PARTS = {
    "d_layers": "layers of D in the order an image passes them",
    "before_bias": "layers of D that a method may add to before the bias",
    "blocks": "residual blocks of D",
    "g_blocks": "residual blocks of G",
    "unnormalised": "a D without norms over the images of a batch",
    "equalised": "layers of D with an equalised learning rate",
    "mapping": "a mapping network from z to w",
    "styled_layers": "layers of G that w modulates",
}
"""What a backbone may offer beyond the contract, for methods that change it; `plugins.pair` describes each."""


class RankConstraints(NamedTuple):
    """Limits on the number of ranks that share a batch, by the names that messages give them."""

    groups: dict[str, int] = {}
    """The images of each rank must be a multiple of these numbers."""

    batches: dict[str, int] = {}
    """The sizes, in images, of further batches that ranks share equally."""


class Backbone(ABC):
    """Base of all backbones, built as `Backbone(preset, resolution, channels, classes)`.

    `preset` maps keys to values, `resolution` is the side in pixels, `channels` those of the images,
    `classes` the number of classes (0: unconditional, and `c` is None everywhere). An unknown key or a
    value the backbone cannot build raises ValueError.
    """

    keys: ClassVar[dict[str, Key]] = {}
    """The preset keys this backbone reads. One of `SHARED_KEYS` has the meaning stated there."""

    derive_keys: ClassVar[dict[str, Key]] = {}
    """Further preset keys, which only `derive` reads and which it takes out; one that is not stated has no default."""

    derivation: ClassVar[str] = ""
    """What `derive` reads and sets, in words for docs/presets.md; "" if it is not overridden."""

    parts: ClassVar[frozenset[str]] = frozenset()
    """The parts its networks offer."""

    revision: ClassVar[int] = 0
    """Part of a run's id. It is raised by each change after which runs of the backbone draw other random numbers or
    follow another law; rounding does not count."""

    g_reg_interval: int = 0
    """G steps between regularisations: 0 never, 1 in the backward pass of every loss, k lazily (times k)."""

    d_reg_interval: int = 0
    """The same for D."""

    r1_at: Literal["real", "augmented"] = "real"
    """The image `d_regularizer` differentiates by: the stored real, or what the method made of it."""

    def __init__(self, preset: dict[str, Any], resolution: int, channels: int, classes: int) -> None:
        self.hyper = read_preset(preset, self.keys)
        self.resolution = resolution
        self.channels = channels
        self.classes = classes

    @classmethod
    def derive(cls, row: dict[str, Any], resolution: int) -> dict[str, Any]:
        """The preset row with the keys that follow from the resolution."""
        return row

    @classmethod
    def resolve(cls, hyper: dict[str, Any]) -> dict[str, Any]:
        """All preset keys of a run, in one form for values that train the same. A run's identity is made of them."""
        return hyper

    @classmethod
    def rank_constraints(cls, hyper: dict[str, Any]) -> RankConstraints:
        """Limits on the number of ranks, besides the equal split of the batch."""
        return RankConstraints()

    @abstractmethod
    def generator(self) -> Generator:
        """A new G."""

    @abstractmethod
    def discriminator(self) -> Discriminator:
        """A new D."""

    @abstractmethod
    def g_loss(self, d_fake: Tensor) -> Tensor:
        """Scalar G minimises, from the logits of fakes."""

    @abstractmethod
    def d_loss(self, d_real: Tensor, d_fake: Tensor) -> Tensor:
        """Scalar D minimises, from the logits of reals and of fakes."""

    def d_adversarial(self, ctx: DStep) -> Tensor:
        """The same from all that a D step has computed, for losses that take more than the logits.

        `ctx.noted_real`, for example, has what D's layers noted. A method may have put another D in the place of the
        backbone's, which notes nothing of this kind.
        """
        return self.d_loss(ctx.d_real, ctx.d_fake)

    def g_regularizer(self, G: Any, z: Tensor, c: Tensor | None) -> Tensor:
        """Scalar added to G's loss, weight included; runs G itself. Not called when `g_reg_interval` is 0."""
        raise NotImplementedError

    def d_regularizer(self, x_real: Tensor, d_real: Tensor) -> Tensor:
        """Scalar added to D's loss, weight included. `d_real` was computed from `x_real`, the image `r1_at`
        names, which requires gradients. Not called when `d_reg_interval` is 0.
        """
        raise NotImplementedError


def missing_part(needs: frozenset[str], backbone: type[Backbone], name: str) -> str | None:
    """The reason where the backbone called `name` does not offer one of the parts that a method `needs`."""
    for part in sorted(needs - backbone.parts):
        return f"it needs {PARTS[part]} (part {part}), which the backbone {name!r} does not offer"
    return None


def read_preset(preset: dict[str, Any], keys: dict[str, Key]) -> dict[str, Any]:
    """The values of all `keys` in `preset`, each canonical (`core.values`), defaults filled in.

    Keys of the training loop and of the run are accepted and left out, unless they are among `keys`. Raises ValueError
    for any other key, naming it and the nearest known one, for a missing key and for a value of the wrong type or out
    of its range.
    """
    check_keys(preset, {**RUN_KEYS, **LOOP_KEYS, **keys})
    return {name: _value(preset, name, key) for name, key in keys.items()}


def check_keys(given: Iterable[str], known: Iterable[str], where: str = "config/presets.yaml") -> None:
    """Raise ValueError for a preset key that is not among the `known` ones; the message offers the nearest."""
    for name in given:
        if name not in known:
            raise ValueError(str(unknown_name("preset key", name, known, where)))


def _value(preset: dict[str, Any], name: str, key: Key) -> Any:
    value = preset.get(name, key.default)
    if value is REQUIRED:
        raise ValueError(f"preset key {name} is missing: {key.meaning}; add it in config/presets.yaml")
    try:
        found = canonical(value, key.kind)
    except ValueError as error:
        raise ValueError(
            f"preset key {name} is {value!r}, must be {name_of(key.kind)} ({error}); see config/presets.yaml"
        ) from None
    numbers = [each for each in (found if isinstance(found, list) else [found]) if each is not None]
    if key.range and not all(map(key.range.holds, numbers)):
        raise ValueError(f"preset key {name} is {value!r}, must be {key.range.words}; see config/presets.yaml")
    return found


def check_choice(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise ValueError unless the preset value of `key` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"preset key {key} is {value!r}, must be one of {allowed}; see config/presets.yaml")
