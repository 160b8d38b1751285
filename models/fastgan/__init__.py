"""FastGAN (arXiv:2101.04775): light networks for a few hundred images of up to 1024 pixels.

G excites high maps by low ones; D judges many places of an image. Networks and constants are those of the authors'
release (github.com/odegeasslbc/FastGAN-pytorch) where the paper leaves them open. Here they differ from it in this:

- G gives one image. The release's G gives another of 128 pixels from a layer of its own, which D judges in place of
  the image at 128 pixels. Here that view is the image averaged down, of reals and fakes alike.
- The image passes a tanh at every resolution; the release has one at 1024 pixels alone.
- D's task to rebuild the reals that it sees is the method `reconstruction`, which works with other backbones too.
  Without it this is the paper's ablation; the entry `fastgan` of config/methods.yaml is FastGAN as published.
- Below 256 pixels there are fewer blocks, and the second view is half the image. Labels are this project's addition;
  the paper is unconditional.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.models.fastgan.discriminator import Discriminator
from leangan.models.fastgan.generator import Generator
from leangan.plugins import backbone
from leangan.plugins.backbone import POSITIVE, Key, check_choice
from leangan.plugins.method import DStep
from leangan.plugins.notes import Notes

SMOOTHING = (0.8, 1.0)
"""The release draws the margin of the hinge between these, for each place; the paper has 1."""

LOWEST, HIGHEST = 32, 1024


class Backbone(backbone.Backbone):
    """FastGAN at one preset; see `plugins.backbone.Backbone`."""

    parts = frozenset({"before_bias", "blocks", "g_blocks"})
    keys = {
        "z_dim": Key(int, 256, "length of the latent z", POSITIVE),
        "g_width": Key(int, 64, "G's feature maps at 128 px", POSITIVE),
        "d_width": Key(int, 64, "D's feature maps at 64 px", POSITIVE),
        "excitation_factor": Key(int, 16, "how many times smaller the maps are that excite G's", POSITIVE),
        "eval_statistics": Key(str, "batch", "what G's norms use in evaluation: batch or running"),
        "eval_batch": Key(int, 16, "images per batch in evaluation with batch statistics", POSITIVE),
    }

    def __init__(self, preset: dict[str, Any], resolution: int, channels: int, classes: int) -> None:
        super().__init__(preset, resolution, channels, classes)
        if resolution & (resolution - 1) or not LOWEST <= resolution <= HIGHEST:
            raise ValueError(f"resolution is {resolution}, must be a power of two from {LOWEST} to {HIGHEST}")
        check_choice("eval_statistics", self.hyper["eval_statistics"], ("batch", "running"))
        check_choice("excitation_factor", self.hyper["excitation_factor"], (2, 4, 8, 16, 32))
        # G's last layer and D's first are the narrowest, and have one map at least.
        entry = resolution if resolution <= 256 else resolution // 2
        for key, least in (("g_width", resolution // 128), ("d_width", entry // 64)):
            if self.hyper[key] < least:
                raise ValueError(
                    f"preset key {key} is {self.hyper[key]}, must be {least} or more at {resolution} px; "
                    "see config/presets.yaml"
                )

    def generator(self) -> Generator:
        s = self.hyper
        return Generator(
            self.resolution,
            self.channels,
            self.classes,
            s["z_dim"],
            s["g_width"],
            excitation_factor=s["excitation_factor"],
            eval_statistics=s["eval_statistics"],
            eval_batch=s["eval_batch"],
        )

    def discriminator(self) -> Discriminator:
        return Discriminator(self.resolution, self.channels, self.classes, self.hyper["d_width"])

    def g_loss(self, d_fake: Tensor) -> Tensor:
        """-D(fake) on average."""
        return -d_fake.mean()

    def d_loss(self, d_real: Tensor, d_fake: Tensor) -> Tensor:
        """Hinge loss, max(0, u - D(real)) + max(0, u + D(fake)) on average, with u ~ U(0.8, 1) for each logit."""
        low, high = SMOOTHING
        real, fake = (low + (high - low) * torch.rand_like(logits) for logits in (d_real, d_fake))
        return F.relu(real - d_real).mean() + F.relu(fake + d_fake).mean()

    def d_adversarial(self, ctx: DStep) -> Tensor:
        """The same over the logits of all places, where D notes them."""
        return self.d_loss(places_of(ctx.noted_real, ctx.d_real), places_of(ctx.noted_fake, ctx.d_fake))


def places_of(notes: Notes, logits: Tensor) -> Tensor:
    """The logits of all places [N, places] that one look of D noted; `logits` where a method's D looks otherwise."""
    looks = notes.get("places", [])
    return looks[0] if len(looks) == 1 else logits
