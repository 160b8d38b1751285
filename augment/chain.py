"""CHAIN: D's feature maps are brought to one size, the more of them the more D overfits (arXiv:2404.00521)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from leangan.core.ranks import mean_over_ranks, mean_over_ranks_with_gradient
from leangan.core.spec import RunSpec
from leangan.plugins.controller import ControlledMethod, Controller
from leangan.plugins.method import DStep, Networks
from leangan.plugins.notes import note
from leangan.plugins.pair import add_before_bias
from leangan.plugins.precision import cast

EPS = 1e-5  # added to the mean square; the authors' slides


class SteadyController(Controller):
    """Moves p by a fixed `step` after every D step, towards 1 where the smoothed r_t lies above the target, else to 0.

        s <- decay * s + (1 - decay) * E[sign(D(real))],    p <- min(max(p + step * sign(s - target), 0), 1)

    s starts at 0. p stays where it is for the first `warm_up` D steps. The log has s under the name of r_t.
    """

    def __init__(self, target: float, step: float, decay: float, warm_up: int, p: float) -> None:
        super().__init__(target, p=p)
        if p > 1:
            raise ValueError(f"p is {p}; it is a probability, 1 at most: change the method's `p`")
        if step <= 0:
            raise ValueError(f"step is {step}; it must be positive: change the method's `step`")
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; 0 <= decay < 1 is allowed: change the method's `decay`")
        if warm_up < 0:
            raise ValueError(f"warm_up is {warm_up}; 0 or more D steps are allowed: change the method's `warm_up`")
        self.step = step
        self.decay = decay
        self.warm_up = warm_up
        self.r.zero_()

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor) -> None:
        """Takes the logits of this rank's images in a D step."""
        self.r.lerp_(mean_over_ranks(d_real.sign().mean().to(self.r)), 1 - self.decay)
        self.steps += 1
        change = self.step * torch.sign(self.r - self.target) * (self.steps > self.warm_up)
        self.p.copy_((self.p + change).clamp(0, 1))


class Method(ControlledMethod):
    """Changes what the convolutions of D's residual blocks give: both 3 x 3 convolutions and the skip.

    For the maps Y [N, C, H, W] that one of them gives for a batch of one kind of images, reals or fakes,

        mu_c  = E_nhw Y                             the mean of map c
        psi_c = sqrt(E_nhw Y^2 + eps)               its root mean square
        Y_nc <- Y_nc                                with probability 1 - p
        Y_nc <- Y_nc / psi_c * min_c psi_c          with probability p, drawn for each image and map

    The minimum counts as a constant, so that no gradient passes through it; psi_c does not. The sum

        weight * (p + p0) * sum_c mu_c^2

    over these convolutions is added to D's loss, for the reals and for the fakes. It is no part of G's loss, nor of a
    lazy R1. p follows D's overfitting (`SteadyController`). Reals and fakes take a pass of D each. Means are over the
    images of all ranks.

    The equations, eps = 1e-5, which convolutions and the constant minimum are those of the authors' slides and poster
    on the paper. Their release (github.com/MaxwellYaoNi/CHAIN) has the code and the constants for FastGAN only. Its
    defaults are the defaults here. That BigGAN and StyleGAN2 take them too is this project's guess: the settings of
    the paper's own runs are not known to it.

    This is the paper's batch variant. The release also has a cumulative one, its README's choice, which divides by
    moving averages and writes its own backward pass. That pass has no second derivative, which R1 needs.

    Where it differs from the paper: `before_bias` gives maps without the convolution's bias, which is added afterwards
    and is not scaled. Means and sizes are then taken after the layer has halved the resolution: StyleGAN2 filters the
    maps before such a convolution, BigGAN pools them with it, or before the skip. The gain that StyleGAN2 folds into
    its weights is left out of mu and psi. In evaluation D goes on drawing, by the same p, and takes the means of the
    images that it is given, one image included.

    Through psi each logit depends on all images of the pass. R1 takes the gradient of the sum of the logits, so its
    slope at one image includes what the other logits owe to this image. BigGAN's spectral norms make a power iteration
    in each of the two passes, where a pass for both kinds makes one.

    Args:
        weight: lambda, 20 in the release.
        p0: keeps the means near 0 while p is 0. 0 in the release, whose README has 0.1 for sets of about 100 images.
        target: of the smoothed r_t, tau in the slides; 0.5 in the release.
        step: of p, per D step; 0.001 in the release.
        decay: of the average of r_t; 0.9 in the release. The slides' equation has no average.
        warm_up: D steps in which p stays; 5000 in the release, of 100,000 with 8 images each.
        blocks: numbers of the blocks, 1 the one that sees the image first; None: all, as in the paper's figure. The
            release gives all, 2 to 5 or 1 to 4 of FastGAN's five as choices for new data.
        p: initial strength.
    """

    title = "CHAIN"
    paper = "arXiv:2404.00521"
    constants = "paper, release, project"
    capturable = True
    quick = {"warm_up": 0}
    needs = frozenset({"blocks", "before_bias", "unnormalised"})
    redraws = True

    def __init__(
        self,
        weight: float = 20.0,
        p0: float = 0.0,
        target: float = 0.5,
        step: float = 0.001,
        decay: float = 0.9,
        warm_up: int = 5000,
        blocks: list[int] | None = None,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        if p0 < 0:
            raise ValueError(f"p0 is {p0}; it must not be negative: change the method's `p0`")
        if blocks == []:
            raise ValueError("blocks is []; one block or more is allowed, null for all: change the method's `blocks`")
        self.weight = weight
        self.p0 = p0
        self.blocks = blocks
        self.controller = SteadyController(target, step, decay, warm_up, p)

    def prepare(self, networks: Networks) -> None:
        networks.D.apart = True
        for block in self.chosen(networks.D.blocks):
            for layer in (block.conv0, block.conv1, block.skip):
                if layer is not None:
                    add_before_bias(layer, partial(self.normalize, gain=getattr(layer, "bias_gain", 1.0)))

    def chosen(self, blocks: Any) -> list[Any]:
        """Those of D's blocks that `self.blocks` numbers."""
        numbers = range(1, len(blocks) + 1)
        wrong = [number for number in self.blocks or () if number not in numbers]
        if wrong:
            raise ValueError(f"blocks has {wrong[0]}; D has blocks 1 to {len(blocks)}: change the method's `blocks`")
        return [
            block for number, block in zip(numbers, blocks, strict=True) if self.blocks is None or number in self.blocks
        ]

    def normalize(self, y: Tensor, gain: float) -> Tensor:
        """The maps y [N, C, H, W], of which each is brought to the least size with probability p; notes their means.

        gain: what y has been multiplied by.
        """
        wide = cast(y, torch.promote_types(y.dtype, torch.float32))
        moments = torch.stack([wide.mean((0, 2, 3)) / gain, wide.square().mean((0, 2, 3)) / gain**2])
        mean, square = mean_over_ranks_with_gradient(moments)
        note("chain", mean)
        size = (square + EPS).sqrt()
        drawn = torch.rand(*y.shape[:2], device=y.device) < self.controller.p
        factor = torch.where(drawn, size.amin().detach() / size, 1.0)
        return y * cast(factor, y.dtype)[:, :, None, None]

    def d_loss(self, ctx: DStep) -> Tensor:
        means = torch.cat([*ctx.noted_real["chain"], *ctx.noted_fake["chain"]])
        return self.weight * (self.controller.p + self.p0) * means.square().sum()

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        blocks = arguments["blocks"]
        return arguments if blocks is None else {**arguments, "blocks": sorted(set(blocks))}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if "wgan_gp" in dict(spec.plugins):
            return "WGAN-GP's penalty is on D's slope at each image alone (arXiv:1704.00028, sec. 4); see CHAIN with R1"
        return None
