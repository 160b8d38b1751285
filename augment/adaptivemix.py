"""AdaptiveMix: D embeds a mix of two images near the mix of their embeddings (arXiv:2303.01559, CVPR 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import DStep, GStep, Networks
from leangan.plugins.notes import note
from leangan.plugins.pair import add_around

OF_ONE_LOOK = ("advaug", "afi", "chain", "diffusion_gan", "pagan", "reconstruction")
"""Methods that read the last output, note or draw of D as its answer to the image itself."""


class Method(method.Method):
    """D = head(embed(x)) judges mixes in place of images. Each image x has a partner x' of the same batch and kind, and
    each pair has its own lam ~ Beta(1, 1), which is U(0, 1):

        mixed = lam embed(x) + (1 - lam) embed(x'),    m = embed(lam x + (1 - lam) x')
        D'(x) = head(mixed) + head(m)
        d_loss and g_loss += -weight * E cos(m, mixed + noise_std N(0, 1)),  the right-hand side without gradient

    The mean E is over reals and over fakes in D's step, and over fakes in G's step. Images are mixed after the
    transforms. D' takes the place of D everywhere: in the adversarial loss, in R1 and for the controllers. embed is D
    up to its last residual block, and the cosine compares all numbers of its maps. Reals and fakes take a pass of D
    each.

    The equations are those of the authors' release (github.com/WentianZhang-ML/AdaptiveMix) for StyleGAN2. The paper's
    own equations were not at hand. The release draws one lam for a whole batch, and a random order of the batch gives
    the partners. Here each image has its own lam, and the partner of image n of N is image n + N/2, so that several
    GPUs draw the same numbers. Batches are in random order already, and no image is its own partner.

    Args:
        weight: 1 in the release.
        noise_std: 0.05 in the release.
    """

    title = "AdaptiveMix"
    paper = "arXiv:2303.01559"
    constants = "release"
    capturable = True
    neutral = {}
    needs = frozenset({"blocks"})
    redraws = True

    def __init__(self, weight: float = 1.0, noise_std: float = 0.05) -> None:
        super().__init__()
        if noise_std < 0:
            raise ValueError(f"noise_std is {noise_std}; it must not be negative: change the method's `noise_std`")
        self.weight = weight
        self.noise_std = noise_std

    def prepare(self, networks: Networks) -> None:
        D = networks.D
        D.apart = True
        add_around(D, "forward", partial(self.judged, D.blocks))

    def judged(self, blocks: nn.Module, judge: Callable[..., Tensor], x: Tensor, c: Tensor | None) -> Tensor:
        """D'(x), [N, 1]; notes the mean cosine."""
        lam = torch.rand(len(x), 1, 1, 1, device=x.device)
        found = []

        def mix(a: Tensor) -> Tensor:
            return a.roll(len(a) // 2, 0).lerp(a, lam.to(a.dtype))

        def embedded(z: Tensor) -> Tensor:
            found.append(z)
            return z.clone()  # later layers may change it in place

        with giving(blocks, embedded):
            logits = judge(mix(x), c)
        with giving(blocks, lambda z: embedded(mix(z))):
            logits = logits + judge(x, c)
        m, mixed = (z.flatten(1).to(x.dtype) for z in found)
        target = mixed.detach() + self.noise_std * torch.randn_like(mixed)
        note("adaptivemix", F.cosine_similarity(m, target).mean())
        return logits

    def d_loss(self, ctx: DStep) -> Tensor:
        (real,), (fake,) = ctx.noted_real["adaptivemix"], ctx.noted_fake["adaptivemix"]
        return -self.weight * (real + fake)

    def g_loss(self, ctx: GStep) -> Tensor:
        (fake,) = ctx.noted_fake["adaptivemix"]
        return -self.weight * fake

    @classmethod
    def rank_groups(cls, arguments: dict[str, Any]) -> dict[str, int]:
        """Both images of a mix are on one rank."""
        return {"pair of AdaptiveMix": 2}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if spec.conditional:
            return "it mixes the images of a batch, which have different labels; the release is without labels"
        for name, _ in spec.plugins:
            if name in OF_ONE_LOOK:
                return f"{name!r} expects one look of D at each image, and AdaptiveMix looks twice, once at a mix"
        return None


@contextmanager
def giving(layer: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Applies `function` to the layer's output, within the context."""
    handle = layer.register_forward_hook(lambda layer, inputs, output: function(output))
    try:
        yield
    finally:
        handle.remove()
