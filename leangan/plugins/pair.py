"""The trained pair: what the loop, methods and metrics may rely on in the G and D of every backbone.

A backbone's networks derive from these classes. What only some of them have, such as a mapping network, is a part:
`plugins.backbone.PARTS` names it, and a backbone says which parts it offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from leangan.core.ranks import world_size
from leangan.plugins.notes import Notes, collected, note

FEATURES = "last hidden layer"
"""The name under which D notes it."""


class Generator(nn.Module):
    """G(z, c): z [N, z_dim] ~ N(0, 1) and c, one-hot [N, c_dim] or None, give images
    [N, channels, resolution, resolution], trained towards [-1, 1], not clamped.

    The constructor sets the four numbers.
    """

    z_dim: int
    c_dim: int
    """Number of classes; 0 when unconditional."""

    resolution: int
    channels: int

    class_names: Sequence[str] = ()
    """Of a conditional G that was loaded from a snapshot, what the classes are called, in their order."""

    sampling_batch: int | None = None
    """In evaluation, images depend on each other in batches of this size; None: each on its own z and c only."""

    eval_statistics: str | None = None
    """What norms use in evaluation: "batch", "running" or "standing", by the preset key of this name; None where there
    is no such choice."""

    blocks: Any
    """Part `g_blocks`: as `Discriminator.blocks`, for G, an nn.ModuleList. Each takes feature maps, the first those of
    the lowest resolution, and perhaps more, and may give more than maps. A convolution may be missing."""

    mapping: Any
    """Part `mapping`: a module from (z, c) to w; its `layers`, an nn.Sequential, are those from z."""

    def accumulate_standing(self, random_labels: Callable[[int], Tensor | None]) -> None:
        """Gather what evaluation needs of generated images; called before a snapshot is written.

        `random_labels(n)` gives the one-hot labels [n, c_dim] of n images, None where G is unconditional.
        """

    def latent(self, z: Tensor, c: Tensor | None) -> Tensor:
        """The points [N, ...] that interpolations run between; z itself if G has no better space."""
        return z

    def render(self, latent: Tensor, c: Tensor | None) -> Tensor:
        """The images of points of `latent`. Noise, if there is any, is the same in all."""
        return self(latent, c)

    def styled_layers(self) -> list[Any]:
        """Part `styled_layers`: the convolutions that w modulates and that are then normalised.

        `affine` has the `weight` and the `bias` of the dense layer that makes their scales of w, though its `forward`
        may not be called; `bias` are their shifts.
        """
        raise NotImplementedError(f"{type(self).__module__} does not offer the part styled_layers")


class Judgement(NamedTuple):
    """What D says of N images: its last hidden layer [N, width], its logits [N, 1], and what its layers noted."""

    features: Tensor
    logits: Tensor
    notes: Notes


class Discriminator(nn.Module):
    """D(x, c): images and labels, as `Generator` has them, give logits [N, 1], high for real.

    It is `score(features(x), c)`. The constructor sets the three numbers.
    """

    resolution: int
    channels: int

    width: int
    """Length of the last hidden layer."""

    group: int = 1
    """Images that D compares with each other: image n of N with those n + N/group, n + 2N/group, ..."""

    blocks: Any
    """Part `blocks`: the residual blocks, an nn.Sequential; what it gives are D's last feature maps. Each has the
    convolutions `conv0`, `conv1` and `skip`, the last of which may be None."""

    maps: int
    """Part `blocks`: the number of these last feature maps."""

    apart: bool = False
    """Whether reals and fakes take a pass each. A method sets it whose layers compare all images of a pass, or draw for
    all of them at once."""

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        features = self.features(x)
        note(FEATURES, features)
        return self.score(features, c)

    def judge(self, x: Tensor, c: Tensor | None) -> Judgement:
        """What one call of D says of images and labels.

        Where a method's D looks more than once (`add_around`), the hidden layer is that of the last look.
        """
        with collected() as notes:
            logits = self(x, c)
        return Judgement(notes.pop(FEATURES)[-1], logits, notes)

    def judge_both(
        self, real: tuple[Tensor, Tensor | None], fake: tuple[Tensor, Tensor | None]
    ) -> tuple[Judgement, Judgement]:
        """`judge` of as many reals as fakes, images and labels of each, in one pass over all of them unless D is
        `apart`. Notes of a pass over all are those of both.

        No image is compared with one of the other kind: rows alternate so that the groups are those of two passes.
        """
        (x_real, c_real), (x_fake, c_fake) = real, fake
        # A single group would mix both.
        if self.apart or len(x_real) * world_size() < self.group:
            return self.judge(x_real, c_real), self.judge(x_fake, c_fake)

        def alternating(a: Tensor, b: Tensor) -> Tensor:
            return torch.stack([part.unflatten(0, (self.group, -1)) for part in (a, b)], dim=1).flatten(0, 2)

        c = None if c_real is None or c_fake is None else alternating(c_real, c_fake)
        features, logits, notes = self.judge(alternating(x_real, x_fake), c)
        kinds = [part.unflatten(0, (self.group, 2, -1)).unbind(1) for part in (features, logits)]
        (f_real, f_fake), (d_real, d_fake) = ([rows.flatten(0, 1) for rows in both] for both in kinds)
        return Judgement(f_real, d_real, notes), Judgement(f_fake, d_fake, notes)

    def features(self, x: Tensor) -> Tensor:
        """Images [N, channels, resolution, resolution] -> the last hidden layer [N, width]."""
        raise NotImplementedError

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        """Hidden layer [N, width] and labels -> logits [N, 1]."""
        raise NotImplementedError

    def head(self, outputs: int) -> nn.Module:
        """A new dense layer [N, width] -> [N, outputs] of the kind of D's output, for methods that ask D for more."""
        return nn.Linear(self.width, outputs)

    def layers(self) -> list[Any]:
        """Part `d_layers`: convolutions and dense layers in the order in which an image passes them, the output last.

        Layers of the label are not among them. `weight` of a convolution is [out, in, height, width].
        Part `equalised`: weights are multiplied by `weight_gain`, which is `bias_gain` / sqrt(fan_in). A method may set
        another number, or a tensor that is multiplied elementwise.
        """
        raise NotImplementedError(f"{type(self).__module__} does not offer the part d_layers")


def add_before_bias(layer: Any, function: Callable[[Tensor], Tensor]) -> None:
    """Part `before_bias`: lets `function` change what a layer of D gives, before bias and activation.

    The layer is one of `Discriminator.layers` or of the blocks. Functions of several methods follow each other in the
    order in which they were added. The layer's output has its gain, `bias_gain`, and may have 16 bits;
    `plugins.precision.cast` brings a tensor to its type.
    """
    earlier = layer.before_bias
    layer.before_bias = function if earlier is None else lambda x: function(earlier(x))


def add_around(D: Discriminator, call: Literal["features", "forward"], function: Callable[..., Tensor]) -> None:
    """Lets `function(earlier, x)` take the place of D.features(x), or `function(earlier, x, c)` that of D(x, c).

    `earlier` is what was there before, so that functions of several methods go around each other: the one added last
    gets the images first. A method does so whose D draws something for each image that it sees, or looks at other
    images than it is given. Calls of regularisers, for held-out images and of other methods pass through it too. The
    images of a call are reals and fakes in turn, unless D is `apart`.
    """
    setattr(D, call, partial(function, getattr(D, call)))
