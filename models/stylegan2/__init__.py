"""StyleGAN2 (arXiv:1912.04958) with the options of StyleGAN2-ADA (arXiv:2006.06676).

Skip generator, residual or plain discriminator, projection conditioning, non-saturating logistic loss, R1 and
path-length regularisation. Feature maps are channels_last, the fastest layout for these layers on a CPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.convolution import differentiated_twice
from leangan.core.ranks import mean_over_ranks, world_size
from leangan.models.stylegan2 import auto
from leangan.models.stylegan2.discriminator import Discriminator
from leangan.models.stylegan2.generator import Generator
from leangan.models.stylegan2.layers import Mapping
from leangan.plugins import backbone
from leangan.plugins.backbone import NOT_NEGATIVE, PARTS, POSITIVE, Key, RankConstraints, check_choice
from leangan.plugins.precision import KEYS, all_float32, half_at


class Backbone(backbone.Backbone):
    """StyleGAN2 at one preset; see `plugins.backbone.Backbone`."""

    parts = frozenset(PARTS)

    keys = {
        "z_dim": Key(int, 512, "length of the latent z", POSITIVE),
        "w_dim": Key(int, 512, "length of the intermediate latent w and of label embeddings", POSITIVE),
        "mapping_layers": Key(int, 8, "dense layers from z to w", NOT_NEGATIVE),
        "mapping_lr_multiplier": Key(
            float, 0.01, "learning rate of the mapping network relative to the rest", POSITIVE
        ),
        "fmap_base": Key(int, 16384, "maps at resolution r are min(fmap_max, 2 fmap_base / r)", POSITIVE),
        "fmap_max": Key(int, 512, "most feature maps a layer has", POSITIVE),
        "d_capacity": Key(float, 1.0, "factor of fmap_base and fmap_max in D", POSITIVE),
        "d_architecture": Key(str, "resnet", "discriminator blocks: resnet or orig (no skips)"),
        "d_mapping_layers": Key(int, 0, "dense layers after D's label embedding; conditional only", NOT_NEGATIVE),
        "mbstd_group": Key(int, 4, "samples per group of the minibatch standard deviation", POSITIVE),
        "mbstd_features": Key(int, 1, "maps the minibatch standard deviation adds; 0: none", NOT_NEGATIVE),
        "adversarial_loss": Key(str, "logistic", "logistic (non-saturating) or wasserstein"),
        "r1_gamma": Key(float, 10.0, "weight of R1, gamma/2 E|grad D|^2; 0: no R1", NOT_NEGATIVE),
        "r1_interval": Key(int, 16, "D steps between R1 evaluations, each times the interval; 0: none", NOT_NEGATIVE),
        "r1_at": Key(str, "real", "R1 differentiates by the real image or by the augmented one"),
        "pl_weight": Key(float, 2.0, "weight of the path-length regularisation; 0: none", NOT_NEGATIVE),
        "pl_decay": Key(float, 0.01, "step of the moving average of path lengths", NOT_NEGATIVE),
        "pl_batch_shrink": Key(int, 2, "the path length is measured on batch / this samples", POSITIVE),
        "pl_interval": Key(
            int, 4, "G steps between path-length evaluations, each times the interval; 0: none", NOT_NEGATIVE
        ),
        "style_mixing": Key(float, 0.9, "probability of mixing two w in one batch", NOT_NEGATIVE),
        "noise_inputs": Key(bool, True, "whether G's convolutions add noise of learned strength"),
        "w_avg_decay": Key(float, 0.995, "decay of the moving average of w that truncation uses", NOT_NEGATIVE),
        **KEYS,
        "conv_clamp": Key(
            float | None, None, "feature maps of all convolutions are limited to +- this; null: not at all", POSITIVE
        ),
    }

    derive_keys = auto.KEYS
    derivation = (
        "Instead of `batch`, `lr_g`, `lr_d`, `ema_half_life_kimg`, `mbstd_group`, `fmap_base` and `r1_gamma`, a preset"
        " may have `auto_gpus`, a number of GPUs: these keys are then what the authors' code picks for as many GPUs and"
        " the resolution of the images (models/stylegan2/auto.py)."
    )

    @classmethod
    def derive(cls, row: dict[str, Any], resolution: int) -> dict[str, Any]:
        """The row without `auto_gpus` and with what StyleGAN2-ADA derives from it."""
        return auto.resolve_auto(row, resolution)

    @classmethod
    def resolve(cls, hyper: dict[str, Any]) -> dict[str, Any]:
        """Without 16-bit resolutions there is no 16-bit type, and the reverse."""
        if all_float32(hyper):
            return {**hyper, "half_type": "none", "half_resolutions": 0}
        return hyper

    @classmethod
    def rank_constraints(cls, hyper: dict[str, Any]) -> RankConstraints:
        """Whole groups of the minibatch standard deviation on each rank, and equal parts of the path-length batch."""
        batch = hyper["batch"]
        groups = {"minibatch-stddev group": min(hyper["mbstd_group"], batch)} if hyper["mbstd_features"] else {}
        path_length = {"path-length batch": max(batch // hyper["pl_batch_shrink"], 1)} if hyper["pl_weight"] else {}
        return RankConstraints(groups, path_length)

    def __init__(self, preset: dict[str, Any], resolution: int, channels: int, classes: int) -> None:
        super().__init__(preset, resolution, channels, classes)
        hyper = self.hyper = self.resolve(self.hyper)
        check_choice("d_architecture", hyper["d_architecture"], ("orig", "resnet"))
        check_choice("adversarial_loss", hyper["adversarial_loss"], ("logistic", "wasserstein"))
        check_choice("r1_at", hyper["r1_at"], ("real", "augmented"))
        if resolution < 8 or resolution & (resolution - 1):
            raise ValueError(
                f"resolution is {resolution}, must be a power of two from 8 up; prepare the data set at one"
            )
        if 2 * hyper["fmap_base"] < resolution:
            raise ValueError(
                f"preset key fmap_base is {hyper['fmap_base']}, must be at least {resolution // 2} "
                f"to leave feature maps at {resolution} px; see config/presets.yaml"
            )
        if hyper["d_capacity"] * min(hyper["fmap_max"], 2 * hyper["fmap_base"] / resolution) < 1:
            raise ValueError(
                f"preset key d_capacity is {hyper['d_capacity']}, which leaves D a layer without feature maps at "
                f"{resolution} px; see config/presets.yaml"
            )
        self.half = half_at(self.maps(), hyper)
        self.r1_at = hyper["r1_at"]
        self.g_reg_interval = hyper["pl_interval"] if hyper["pl_weight"] else 0
        self.d_reg_interval = hyper["r1_interval"] if hyper["r1_gamma"] else 0

    def maps(self, capacity: float = 1.0) -> dict[int, int]:
        """Feature maps by resolution, 4 to the image's, with fmap_base and fmap_max times `capacity`."""
        base, most = (int(capacity * self.hyper[key]) for key in ("fmap_base", "fmap_max"))
        sizes = [2**k for k in range(2, self.resolution.bit_length())]
        return {r: min(most, 2 * base // r) for r in sizes}

    def mapping(self, z_dim: int, layers: int) -> Mapping:
        s = self.hyper
        return Mapping(z_dim, self.classes, s["w_dim"], layers, s["mapping_lr_multiplier"])

    def generator(self) -> Generator:
        s = self.hyper
        return Generator(
            self.mapping(s["z_dim"], s["mapping_layers"]),
            s["w_dim"],
            self.resolution,
            self.channels,
            self.maps(),
            style_mixing=s["style_mixing"],
            w_avg_decay=s["w_avg_decay"],
            noise=s["noise_inputs"],
            half=self.half,
            clamp=s["conv_clamp"],
        )

    def discriminator(self) -> Discriminator:
        s = self.hyper
        return Discriminator(
            self.mapping(0, s["d_mapping_layers"]) if self.classes else None,
            s["w_dim"],
            self.resolution,
            self.channels,
            self.maps(s["d_capacity"]),
            architecture=s["d_architecture"],
            mbstd_group=s["mbstd_group"],
            mbstd_features=s["mbstd_features"],
            half=self.half,
            clamp=s["conv_clamp"],
        )

    def g_loss(self, d_fake: Tensor) -> Tensor:
        """Non-saturating logistic loss, -log sigmoid(D(fake)), or Wasserstein loss, -D(fake), on average."""
        if self.hyper["adversarial_loss"] == "wasserstein":
            return -d_fake.mean()
        return F.softplus(-d_fake).mean()

    def d_loss(self, d_real: Tensor, d_fake: Tensor) -> Tensor:
        """-log sigmoid(D(real)) - log(1 - sigmoid(D(fake))), or D(fake) - D(real), on average."""
        if self.hyper["adversarial_loss"] == "wasserstein":
            return d_fake.mean() - d_real.mean()
        return F.softplus(-d_real).mean() + F.softplus(d_fake).mean()

    def g_regularizer(self, G: Generator, z: Tensor, c: Tensor | None) -> Tensor:
        """Path length, weight * E (|J^T y|_w - a)^2 with y ~ N(0, I / pixels) (arXiv:1912.04958, sec. 3.2).

        The norm averages over layers; a is the moving average of lengths, kept in `G.pl_mean`.
        """
        s = self.hyper
        n = max(len(z) * world_size() // s["pl_batch_shrink"], 1) // world_size()
        ws = G.styles(z[:n], None if c is None else c[:n]).requires_grad_()  # also where a method froze the mapping
        with differentiated_twice():
            image = G.synthesis(ws)
        y = torch.randn_like(image) / math.sqrt(image.shape[2] * image.shape[3])
        (grad,) = torch.autograd.grad((image * y).sum(), ws, create_graph=True)
        length = grad.square().sum(dim=2).mean(dim=1).sqrt()
        G.pl_mean.lerp_(mean_over_ranks(length.detach().mean()), s["pl_decay"])
        return s["pl_weight"] * (length - G.pl_mean).square().mean()

    def d_regularizer(self, x_real: Tensor, d_real: Tensor) -> Tensor:
        """R1, gamma/2 E |grad_x D(x)|^2 at reals (arXiv:1801.04406)."""
        (grad,) = torch.autograd.grad(d_real.sum(), x_real, create_graph=True)
        return self.hyper["r1_gamma"] / 2 * grad.square().sum(dim=(1, 2, 3)).mean()
