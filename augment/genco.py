"""GenCo: G learns from D, from one with other weights and from one that sees high frequencies (arXiv:2110.01254)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.core.ranks import world_size
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import another_adversarial_loss, more_than_logits
from leangan.plugins.method import DStep, GStep, Networks
from leangan.plugins.pair import Discriminator
from leangan.plugins.registry import require

View = Callable[[Tensor], Tensor]


class Method(method.Method):
    """With D_2 and D_3 of D's kind, each with weights of its own, and the backbone's adversarial losses L,

        D's loss += L(D_2(T(x)), D_2(T(y))) + weight * (1 - t) * (1 + cos(W, W_2))
                  + L(D_3(B(T(x))), D_3(B(T(y))))
        G's loss += L(D_2(T(y))) + L(D_3(B(T(y))))

    for reals x and fakes y. W and W_2 are all parameters of D and of D_2 as one vector each. Their cosine moves W_2
    alone. t is the share of the run that is done. T is the run's transform; each discriminator has its own draw.

    B leaves out bands of frequency. With k the index of a row or of a column in the spectrum of an image of n pixels,
    m = min(k, n - 1 - k) is about the absolute frequency. The greater m of row and column puts each coefficient into
    the last band i with floor(n i / (2 bands)) <= m. The bands below `first` are left out of all images. Of the others
    int(keep * (bands - first)), drawn for each image, stay. The real part of the inverse transform is what D_3
    sees. It never sees the mean of an image.

    Where the backbone has R1, D_2 and D_3 have it as often and with the same weight, D_3's for what it sees and by the
    slope at the image before B. Each of them costs as much as D: a step takes about three times as long.

    Equations and constants are those of the authors' release (github.com/jxhuang0508/GenCo), which augments by
    DiffAugment or by ADA. Where this method differs from it: there D, D_2 and D_3 each have fakes of their own; here
    they share those of the step, and R1 of all shares one draw of T. There a real and a fake share the draw of B. Its
    version with DiffAugment computes D_2 and D_3 in 32 bits; here they compute as D does. D_2 and D_3 are as the
    backbone makes them: what other methods do to D does not reach them.

    Args:
        weight: 0.01.
        bands: 64.
        first: 8.
        keep: 0.8, 44 of 56 bands.
    """

    title = "GenCo"
    paper = "arXiv:2110.01254"
    constants = "release"
    capturable = True
    neutral = {}
    band: Tensor  # of each coefficient of a spectrum
    seen: Tensor  # reals of all ranks so far

    def __init__(self, weight: float = 0.01, bands: int = 64, first: int = 8, keep: float = 0.8) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; 0 or more is allowed: change the method's `weight`")
        if bands < 1:
            raise ValueError(f"bands is {bands}; 1 or more are allowed: change the method's `bands`")
        if not 0 <= first < bands:
            raise ValueError(f"first is {first}; 0 to {bands - 1} are allowed: change the method's `first`")
        if not 0 < keep <= 1:
            raise ValueError(f"keep is {keep}; 0 < keep <= 1 is allowed: change the method's `keep`")
        self.weight = weight
        self.bands = bands
        self.first = first
        self.keep = keep
        self.register_buffer("seen", torch.tensor(0))

    def prepare(self, networks: Networks) -> None:
        spec, G = networks.spec, networks.G
        backbone = require("backbone", spec.backbone)(spec.hyper, spec.resolution, G.channels, G.c_dim)
        self.total_nimg = spec.total_nimg
        self.D_2, self.D_3 = backbone.discriminator(), backbone.discriminator()
        self.register_buffer("band", band_of(spec.resolution, self.bands), persistent=False)

    def further(self) -> list[tuple[Discriminator, View]]:
        """D_2 and D_3, each with what it makes of the images that D would see."""
        return [(self.D_2, lambda t: t), (self.D_3, self.without_bands)]

    def without_bands(self, t: Tensor) -> Tensor:
        """B of images [N, C, H, W]."""
        random = self.bands - self.first
        # The order of independent numbers is a uniform permutation.
        order = torch.rand(len(t), random, device=t.device).argsort(dim=1)
        drawn = (order < int(self.keep * random)).to(t.dtype)
        stays = torch.cat([drawn.new_zeros(len(t), self.first), drawn], dim=1)
        return torch.fft.ifft2(torch.fft.fft2(t) * stays[:, self.band][:, None]).real

    def d_loss(self, ctx: DStep) -> Tensor:
        loss = self.weight * (1 - self.seen / self.total_nimg) * (1 + cosine(ctx.D, self.D_2))
        for D, view in self.further():
            t_real, t_fake = view(ctx.transform(ctx.x_real, "real")), view(ctx.transform(ctx.x_fake, "fake_d"))
            real, fake = D.judge_both((t_real, ctx.c_real), (t_fake, ctx.c_fake))
            loss = loss + ctx.criterion(real.logits, fake.logits)
        return loss

    def g_loss(self, ctx: GStep) -> Tensor:
        seen = [(D, view(ctx.transform(ctx.x_fake, "fake_g"))) for D, view in self.further()]
        return torch.stack([ctx.criterion(D(t_fake, ctx.c_fake)) for D, t_fake in seen]).sum()

    def d_regularizer(
        self, loss: Tensor, t_real: Tensor, c_real: Tensor | None, penalty: Callable[[Tensor], Tensor]
    ) -> Tensor:
        return loss + torch.stack([penalty(D(view(t_real), c_real)) for D, view in self.further()]).sum()

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        self.seen += len(d_real) * world_size()

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if "wgan_gp" in dict(spec.plugins):
            return "WGAN-GP holds the slope of D and not of GenCo's further discriminators; see GenCo with R1"
        return another_adversarial_loss(spec, "genco") or more_than_logits(spec)


def band_of(resolution: int, bands: int) -> Tensor:
    """The band [H, W] of each coefficient of an image's spectrum, in the order of `torch.fft.fft2`."""
    index = torch.arange(resolution)
    distance = torch.minimum(index, resolution - 1 - index)
    distance = torch.maximum(distance[:, None], distance)
    # floor(n i / 2b) <= m is the same as i <= (2b (m + 1) - 1) / n.
    return (2 * bands * (distance + 1) - 1) // resolution


def cosine(D: nn.Module, D_2: nn.Module) -> Tensor:
    """The cosine of all parameters of two networks of one kind; its gradient moves those of the second alone."""
    own, theirs = dict(D.named_parameters()), dict(D_2.named_parameters())
    if own.keys() != theirs.keys():
        name = min(own.keys() ^ theirs.keys())
        raise ValueError(
            f"GenCo compares the weights of two discriminators, but another method changed D's {name!r}: "
            "leave one of the two methods out in config/methods.yaml"
        )
    vectors = [torch.cat([weights[name].flatten() for name in own]) for weights in (own, theirs)]
    return F.cosine_similarity(vectors[0].detach(), vectors[1], dim=0)
