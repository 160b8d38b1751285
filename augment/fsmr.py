"""FSMR: D's answer is kept when features take the statistics of another image (arXiv:2112.04120, CVPR 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from leangan.core.ranks import rank, whole_batch, whole_batch_with_gradient, world_size
from leangan.plugins import method
from leangan.plugins.method import DStep, Networks
from leangan.plugins.pair import add_before_bias
from leangan.plugins.precision import cast

EPS = 1e-5
"""Added to variances, as in the release."""

CIFAR_RESOLUTION = 32
"""Where the release also mixes what FromRGB gives."""


class Method(method.Method):
    """Adds to D's loss, over reals as D sees them,

        weight * E (D(x) - D_mix(x))^2

    D_mix is a second pass of the same images in which feature maps h of image n take, in part, the mean mu and the
    standard deviation sigma over pixels that each map has for image s(n):

        h <- a h + (1 - a) [sigma' (h - mu) / sigma + mu'],    sigma = sqrt(variance + 1e-5)

    with one a ~ U(0, 1) and one uniform permutation s of the batch in each pass, the same in all layers. Gradients
    flow through both passes and through all statistics. D_mix is no part of G's loss.

    The places are those of the authors' release (github.com/naver-ai/FSMR): the 3 x 3 convolutions, before bias and
    activation, and the residual sums. At 32 pixels FromRGB is one too. Skips and dense layers are none. The release's
    README calls the same term over fakes optional; neither its code nor this method has it.

    Deviations from the release: there, s is drawn once, when training starts, and permutes the images of one GPU, 8 at
    256 pixels. Here s is drawn in every pass and permutes the whole batch, on any number of GPUs.

    Args:
        weight: 0.05, which the release's README has for FFHQ at 256 pixels. Its code has 1 where none is given; which
            weight the other data sets had is not stated there.
    """

    title = "FSMR"
    paper = "arXiv:2112.04120"
    constants = "release"
    capturable = True
    neutral = {"weight": 0.0}
    needs = frozenset({"blocks", "d_layers", "before_bias"})
    compares_passes = True

    def __init__(self, weight: float = 0.05) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; 0 or more is allowed: change the method's `weight`")
        self.weight = weight
        self.drawn: tuple[Tensor, Tensor] | None = None  # a, and s(n) of this rank's images; None: nothing is mixed

    def prepare(self, networks: Networks) -> None:
        D = networks.D
        summed = [block for block in D.blocks if block.skip is not None]
        skips = {block.skip for block in summed}
        from_rgb, *convolutions = D.layers()[:-2]
        if D.resolution == CIFAR_RESOLUTION:
            convolutions.append(from_rgb)
        for layer in convolutions:
            if layer not in skips:
                add_before_bias(layer, self.mixed)
        for block in summed:
            block.register_forward_hook(lambda block, inputs, h: self.mixed(h))

    def d_loss(self, ctx: DStep) -> Tensor:
        with self.mixing(ctx.t_real):
            d_mixed = ctx.D(ctx.t_real, ctx.c_real)
        return self.weight * (ctx.d_real - d_mixed).square().mean()

    @contextmanager
    def mixing(self, x: Tensor) -> Iterator[None]:
        """Within it, D mixes the statistics of images like x [N, ...]."""
        # The order of independent numbers is a uniform permutation, and the same on all ranks.
        order = whole_batch(torch.rand(len(x), device=x.device)).argsort()
        self.drawn = torch.rand((), device=x.device), order[rank() :: world_size()]
        try:
            yield
        finally:
            self.drawn = None

    def mixed(self, h: Tensor) -> Tensor:
        """Maps h [N, K, H, W] with mixed statistics while D is `mixing`, otherwise h itself."""
        if self.drawn is None:
            return h
        a, others = self.drawn
        wide = cast(h, torch.promote_types(h.dtype, torch.float32))
        var, mean = torch.var_mean(wide, dim=(2, 3), correction=0)
        own = torch.stack([mean, (var + EPS).sqrt()], dim=1)
        (mean, std), (new_mean, new_std) = (
            statistics.unbind(1) for statistics in (own, whole_batch_with_gradient(own).index_select(0, others))
        )
        # a h + (1 - a) [...] is linear in h.
        ratio = new_std / std
        scale, shift = a + (1 - a) * ratio, (1 - a) * (new_mean - ratio * mean)
        return cast(torch.addcmul(shift[:, :, None, None], wide, scale[:, :, None, None]), h.dtype)
