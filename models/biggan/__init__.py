"""BigGAN (arXiv:1809.11096) as DiffAugment trained it on CIFAR and ImageNet (arXiv:2006.10738).

Residual networks with spectral normalisation, class-conditional batch normalisation in G, a projection of the
label in D, hinge loss. No regularisers. Feature maps are channels_last.

16-bit maps need no limit: G's are normalised in every block. In D, a 3 x 3 convolution of spectral norm 1 gives each
pixel at most 3 times the longest feature vector that it takes, a residual block at most 3 * 3 + 1 times. So the four
blocks of CIFAR bring images within +-1 to 17,000 at most, biases aside, where float16 ends at 65504. At the other end,
gradients by feature maps lose at most 0.3 % of their norm to float16 on CIFAR, with batch 50, but up to a third on
ImageNet at 128, with batch 2048 (random weights, there a quarter of the maps): large batches need bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from leangan.models.biggan.discriminator import Discriminator
from leangan.models.biggan.generator import Generator
from leangan.models.biggan.layers import INITS
from leangan.plugins import backbone
from leangan.plugins.backbone import NOT_NEGATIVE, POSITIVE, Key, check_choice
from leangan.plugins.precision import KEYS, all_float32, half_at


class Backbone(backbone.Backbone):
    """BigGAN at one preset; see `plugins.backbone.Backbone`."""

    parts = frozenset({"before_bias", "blocks", "g_blocks", "unnormalised"})
    revision = 1
    keys = {
        "z_dim": Key(int, 128, "length of the latent z", POSITIVE),
        "g_maps": Key(
            list[int],
            [256, 256, 256, 256],
            "G's feature maps at 4 px, 8 px, ... up to the image's resolution",
            POSITIVE,
        ),
        "d_maps": Key(list[int], [256, 256, 256, 256], "feature maps after each of D's blocks", POSITIVE),
        "d_down": Key(int, 2, "how many of D's blocks, the first ones, halve the resolution", NOT_NEGATIVE),
        "hierarchical_z": Key(bool, False, "whether each block of G gets its own part of z"),
        "shared_dim": Key(
            int, 0, "length of the label embedding G's blocks share; 0: every norm has its own table", NOT_NEGATIVE
        ),
        "attention_at": Key(int, 0, "resolution of self-attention in both networks; 0: none", NOT_NEGATIVE),
        "init": Key(str, "normal", "initial weights: normal, N(0, 0.02^2), or orthogonal"),
        "gain_offset": Key(float, 1.0, "added to the conditional gains of G's norms"),
        "eval_statistics": Key(str, "batch", "what G's norms use in evaluation: batch, running or standing"),
        "eval_batch": Key(
            int, 50, "images per batch in evaluation with batch statistics and in a standing pass", POSITIVE
        ),
        "standing_passes": Key(int, 100, "batches that standing statistics are gathered from", POSITIVE),
        **KEYS,
    }

    @classmethod
    def resolve(cls, hyper: dict[str, Any]) -> dict[str, Any]:
        """Without 16-bit resolutions, the values as if the backbone had no keys for them."""
        if all_float32(hyper):
            return {key: value for key, value in hyper.items() if key not in KEYS}
        return hyper

    def __init__(self, preset: dict[str, Any], resolution: int, channels: int, classes: int) -> None:
        super().__init__(preset, resolution, channels, classes)
        s = self.hyper
        check_choice("init", s["init"], tuple(INITS))
        check_choice("eval_statistics", s["eval_statistics"], ("batch", "running", "standing"))
        sizes_g = [4 << k for k in range(len(s["g_maps"]))]
        if sizes_g[-1] != resolution or len(sizes_g) < 2:
            raise ValueError(
                f"resolution is {resolution}, but preset key g_maps {s['g_maps']} makes images of {sizes_g[-1]} px; "
                "it needs one number for 4 px and one for each doubling up to the resolution, at least 8; "
                "see config/presets.yaml"
            )
        if not 0 <= s["d_down"] <= len(s["d_maps"]) or resolution >> s["d_down"] < 4:
            raise ValueError(
                f"preset key d_down is {s['d_down']}, must be at most {len(s['d_maps'])}, the length of d_maps, "
                f"and leave 4 pixels of {resolution}; see config/presets.yaml"
            )
        sizes_d = [resolution >> k for k in range(1, s["d_down"] + 1)]
        common = tuple(size for size in sizes_g[1:] if size in sizes_d)
        check_choice("attention_at", s["attention_at"], (0, *common))
        if s["hierarchical_z"] and s["z_dim"] % len(s["g_maps"]):
            raise ValueError(
                f"preset key z_dim is {s['z_dim']}, must be a multiple of {len(s['g_maps'])} with hierarchical_z, "
                "one part for each of g_maps; see config/presets.yaml"
            )
        self.half = half_at(sizes_g, s)

    def generator(self) -> Generator:
        s = self.hyper
        return Generator(
            self.channels,
            self.classes,
            s["g_maps"],
            s["z_dim"],
            hierarchical_z=s["hierarchical_z"],
            shared_dim=s["shared_dim"],
            attention_at=s["attention_at"],
            half=self.half,
            init=s["init"],
            gain_offset=s["gain_offset"],
            eval_statistics=s["eval_statistics"],
            eval_batch=s["eval_batch"],
            standing_passes=s["standing_passes"],
        )

    def discriminator(self) -> Discriminator:
        s = self.hyper
        return Discriminator(
            self.resolution,
            self.channels,
            self.classes,
            s["d_maps"],
            s["d_down"],
            attention_at=s["attention_at"],
            half=self.half,
            init=s["init"],
        )

    def g_loss(self, d_fake: Tensor) -> Tensor:
        """-D(fake) on average."""
        return -d_fake.mean()

    def d_loss(self, d_real: Tensor, d_fake: Tensor) -> Tensor:
        """Hinge loss, max(0, 1 - D(real)) + max(0, 1 + D(fake)) on average."""
        return F.relu(1 - d_real).mean() + F.relu(1 + d_fake).mean()
