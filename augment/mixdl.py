"""MixDL: in G and D, a mix of latents resembles each latent by its share in the mix (arXiv:2111.11672, ECCV 2022)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.method import DStep, GStep, Step


class Method(method.Method):
    """Each step draws new latents w_1, ..., w_K, the anchors of a mix w = c_1 w_1 + ... + c_K w_K with
    c ~ Dirichlet(1, ..., 1). For maps F,

        gap(F) = E KL(softmax(c) || softmax(cos(F(w), F(w_1)), ..., cos(F(w), F(w_K)))) / K
        g_loss += g_weight * mean of gap(F) over the blocks of G, with F the output of a block
        d_loss += d_weight * gap(F) with F D's last hidden layer of the transformed image of w

    This asks G to move evenly from one image to another instead of in steps. Latents are mixed where the backbone
    interpolates: in w of StyleGAN2, as in the paper, and in z of BigGAN and FastGAN. There are as many mixes as images
    in a batch. K mixes share the same K anchors, and each mix has its own c.

    The form of the loss, with 1 / K and this order of KL, and the constants are those of the authors' release
    (github.com/reyllama/mixdl, train_mixdl.py). The paper was at hand only as a summary by others: it has the same
    weights, and a linear projection of D's features, where the release takes the hidden layer itself.

    Differences from the release: it draws one inner layer of G for each mix; here the loss is the mean over blocks. It
    adds the losses only in every second step, in which it also shows D the mixes as fakes; here they are added in every
    step, and D's fakes stay as they are. In the other steps it asks D about patches, which belongs to another method
    (arXiv:2104.06820) and is left out.

    Args:
        g_weight, d_weight: 1000 and 1.
        anchors: K; 4, the release's batch on each GPU. The batch of each GPU must be a multiple of it.
    """

    title = "MixDL"
    paper = "arXiv:2111.11672"
    constants = "release"
    capturable = True
    neutral = {"g_weight": 0.0, "d_weight": 0.0}
    needs = frozenset({"g_blocks"})

    def __init__(self, g_weight: float = 1000.0, d_weight: float = 1.0, anchors: int = 4) -> None:
        super().__init__()
        if anchors < 2:
            raise ValueError(f"anchors is {anchors}; 2 or more are allowed: change the method's `anchors`")
        self.g_weight = g_weight
        self.d_weight = d_weight
        self.anchors = anchors

    def d_loss(self, ctx: DStep) -> Tensor:
        with torch.no_grad():
            latents, c = self.anchors_and_mixes(ctx)
            x = ctx.G.render(latents, None)
        return self.d_weight * gap([ctx.D.features(ctx.transform(x, "fake_d"))], c)

    def g_loss(self, ctx: GStep) -> Tensor:
        latents, c = self.anchors_and_mixes(ctx)
        with feature_maps(ctx.G, [f"blocks.{k}" for k in range(len(ctx.G.blocks))]) as maps:
            ctx.G.render(latents, None)
        # A block of StyleGAN2 gives its maps and an image.
        return self.g_weight * gap((y[0] if isinstance(y, tuple) else y for y in maps.values()), c)

    def anchors_and_mixes(self, ctx: Step) -> tuple[Tensor, Tensor]:
        """The latents [2N, ...] of N anchors and then of their N mixes, and the shares c [K, N/K, K] of the anchors.

        Image n has the anchors n % (N/K), n % (N/K) + N/K, ..., so that several GPUs draw the same.
        """
        w = ctx.G.latent(torch.randn_like(ctx.z), None)
        c = -torch.log1p(-torch.rand(len(w), self.anchors, dtype=w.dtype, device=w.device))
        c = (c / c.sum(dim=1, keepdim=True)).unflatten(0, (self.anchors, -1))
        mixes = torch.einsum("kmi,im...->km...", c, w.unflatten(0, (self.anchors, -1)))
        return torch.cat([w, mixes.flatten(0, 1)]), c

    @classmethod
    def rank_groups(cls, arguments: dict[str, Any]) -> dict[str, int]:
        """Images that share their anchors are on one rank."""
        return {"anchors of MixDL": arguments["anchors"]}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if spec.conditional:
            return "it mixes latents of images, which have different labels; the paper is without labels"
        anchors = dict(spec.plugins)["mixdl"]["anchors"]
        if spec.hyper["batch"] % anchors:
            return f"a batch of {spec.hyper['batch']} images is no multiple of {anchors} anchors: change `anchors`"
        return None


def gap(maps: Iterable[Tensor], c: Tensor) -> Tensor:
    """E KL / K, averaged over F; each of `maps` [2N, ...] is F of N anchors and N mixes, and c are the shares."""
    found = []
    for y in maps:
        y = F.normalize(y.flatten(1).to(c.dtype))
        anchors, mixes = y.unflatten(0, (2, len(c), -1))
        found.append(torch.einsum("kmd,imd->kmi", mixes, anchors))
    likeness = torch.stack(found).log_softmax(dim=-1)
    return F.kl_div(likeness, c.softmax(dim=-1).expand_as(likeness), reduction="none").mean()
