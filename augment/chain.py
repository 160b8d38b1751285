"""CHAIN: the more D overfits, the more of its feature maps are brought to one size (arXiv:2404.00521)."""

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
    """Moves p by a fixed `step` after every D step: up if the smoothed r_t is above the target, down if it is below.

        s <- decay * s + (1 - decay) * E[sign(D(real))],    p <- min(max(p + step * sign(s - target), 0), 1)

    s starts at 0. Both s and p stay as they are during the first `warm_up` D steps. The log calls s r_t.
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
        self.steps += 1
        warm = (self.steps > self.warm_up).to(self.r)
        self.r.lerp_(mean_over_ranks(d_real.sign().mean().to(self.r)), warm * (1 - self.decay))
        change = warm * self.step * torch.sign(self.r - self.target)
        self.p.copy_((self.p + change).clamp(0, 1))


class Method(ControlledMethod):
    """Changes the output of the convolutions in D's residual blocks: of both 3 x 3 convolutions and of the skip.

    Reals and fakes take a pass of D each. Let Y [N, C, H, W] be the output of one convolution in one of these passes:

        mu_c  = E_nhw Y                             the mean of map c
        psi_c = sqrt(E_nhw Y^2 + eps)               its root mean square
        Y_nc <- Y_nc                                with probability 1 - p
        Y_nc <- Y_nc / psi_c * min_c psi_c          with probability p, drawn for each image and map

    The minimum is treated as a constant: gradients pass through psi_c, but not through the minimum. D's loss gains

        weight * (p + p0) * sum_c mu_c^2

    for each of these convolutions and for each kind of image. G's loss and a lazy R1 do not have this term. p follows
    D's overfitting (`SteadyController`). All means are over the images of all ranks.

    The equations, eps = 1e-5, the choice of convolutions and the constant minimum come from the authors' slides and
    poster. The constants are the defaults of their release (github.com/MaxwellYaoNi/CHAIN), whose code is for FastGAN
    only. The D of that release is residual, has biases and has no norms. This project's FastGAN has a batch norm after
    each convolution, which would undo the scaling, so CHAIN refuses it (part `unnormalised`). This project guesses that
    the same constants suit BigGAN and StyleGAN2: it does not know the settings of the paper's own runs.

    This is the paper's batch variant. The release's README prefers a cumulative variant, which divides by moving
    averages and has a backward pass of its own. R1 needs a second derivative, which that pass does not have.

    Differences from the paper: the maps are scaled before the convolution's bias is added, so the bias is not scaled.
    Where a layer halves the resolution, mu and psi are those of the halved maps: StyleGAN2 filters the maps before such
    a convolution, and BigGAN pools them as part of it, or before the skip. mu and psi leave out the gain that StyleGAN2
    folds into its weights. In evaluation D still draws, with the same p, and mu and psi are those of the images at
    hand, even of a single one.

    Through psi, each logit depends on all images of the pass. R1 takes the gradient of the sum of the logits. Its
    gradient at one image therefore includes the influence of this image on the logits of the others. BigGAN's spectral
    norms make a power iteration in each pass, hence two in a D step instead of one.

    Args:
        weight: lambda, 20 in the release.
        p0: keeps the means near 0 while p is 0. It is 0 in the release, and 0.1 in its README for sets of about 100
            images.
        target: the smoothed r_t that is aimed at, tau in the slides; 0.5 in the release.
        step: the change of p per D step; 0.001 in the release.
        decay: of the average of r_t; 0.9 in the release. The slides' equation has no average.
        warm_up: D steps before p and the average of r_t begin to move; 5000 in the release, which makes 100,000 D steps
            with 8 images each.
        blocks: the numbers of the blocks that are changed; block 1 sees the image first. None: all, as in the paper's
            figure. For new data the release suggests all five blocks of its FastGAN, 2 to 5, or 1 to 4.
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
        """Brings each of the maps y [N, C, H, W] to the least size with probability p, and notes their means.

        gain: the factor that y already contains.
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
