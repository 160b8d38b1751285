"""Diffusion-GAN: D sees every image after a random number of steps of a diffusion (arXiv:2206.02262, ICLR 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.core.errors import unknown_name
from leangan.core.spec import RunSpec
from leangan.models.stylegan2.layers import Linear
from leangan.plugins.controller import ControlledMethod, Controller
from leangan.plugins.method import Networks
from leangan.plugins.notes import note
from leangan.plugins.pair import add_around

LAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "uniform": lambda u, T: T * u,
    "priority": lambda u, T: ((1 + 4 * T * (T + 1) * u).sqrt() - 1) / 2,
}
"""The laws of t = 1, ..., T. Each maps u ~ U(0, 1) to a number, which is rounded up to t. P(t) is 1/T for "uniform".
For "priority" it is t over the sum of all t (eq. 6), so that P(t <= k) = k (k + 1) / (T (T + 1))."""


class Method(ControlledMethod):
    """In place of each image x, real or fake, D sees (sec. 3.1)

        y = sqrt(a_t) x + sqrt(1 - a_t) noise_std N(0, 1),    a_t = (1 - beta_1) ... (1 - beta_t), a_0 = 1

    where beta_1, ..., beta_T go from beta_start to beta_end in equal steps. Half of the images have t = 0
    (algorithm 1), the others t = 1, ..., T by the law of eq. 6. T is t_min + p (t_max - t_min), rounded. r_t steers p
    as it does in ADA, but p never exceeds 1 (eq. 5).

    D is told t: its last hidden layer is multiplied, unit by unit, by 1 + m(sqrt(1 - a_t)), where m are two dense
    layers. The weights of D's output thus depend on t. In the paper t takes the place of the label in StyleGAN2's D,
    whose mapping network gives such weights (appendix H); other backbones have no such network. m is given the noise
    level sqrt(1 - a_t), a number in [0, 1), because the same t means different noise levels at different T. The authors
    see no significant difference to a D that is not told t (README of their release).

    The diffusion is the first step of D itself and comes after all transforms, as in the release. Each call of D draws
    its own t and noise. R1 takes its gradient at the image before the diffusion. Losses find t in
    `ctx.noted_fake["t"]` and `ctx.noted_real["t"]`, in the order of D's pass.

    Each image has its own t. The paper draws t from a list of 32 zeros and 32 other t, which it makes anew whenever T
    changes. The law of a single t is the same.

    Args:
        noise_std: 0.05, for images in [-1, 1] (appendix G).
        beta_start, beta_end: 0.0001 and 0.02 (table 5).
        t_min: 10, the default of the authors' release (github.com/Zhendong-Wang/Diffusion-GAN); the paper has 5.
        t_max: 1000 with the law "priority", 500 with "uniform" (table 5).
        law: "priority", which weighs t by t, or "uniform", which the paper uses for FFHQ. The release weighs t by
            t - 1 in "priority".
        condition: whether D is told t. In the paper the D of Projected GAN is not.
        target: the r_t that is aimed at, 0.6; 0.8 for FFHQ (appendix G).
        interval: D steps between two changes of p, 4 (sec. 3.3).
        tune_kimg: thousands of reals in which p can move by 1; 100 in the release, the paper does not say.
        p: initial strength.
    """

    title = "Diffusion-GAN"
    paper = "arXiv:2206.02262"
    constants = "paper, release, project"
    capturable = True
    neutral = {"t_min": 0}
    redraws = True
    step: Tensor  # 0 to t_max - 1

    def __init__(
        self,
        noise_std: float = 0.05,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        t_min: int = 10,
        t_max: int = 1000,
        law: str = "priority",
        condition: bool = True,
        target: float = 0.6,
        interval: int = 4,
        tune_kimg: float = 100,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= beta_start <= beta_end < 1:
            raise ValueError(
                f"beta_start is {beta_start} and beta_end {beta_end}; 0 <= beta_start <= beta_end < 1 is allowed: "
                "change the method's `beta_start` or `beta_end`"
            )
        if not 0 <= t_min <= t_max or t_max < 1:
            raise ValueError(
                f"t_min is {t_min} and t_max {t_max}; 0 <= t_min <= t_max, which is 1 or more, is allowed: "
                "change the method's `t_min` or `t_max`"
            )
        if noise_std < 0:
            raise ValueError(f"noise_std is {noise_std}; it must not be negative: change the method's `noise_std`")
        if law not in LAWS:
            raise unknown_name("law", law, LAWS, "the method's `law`")
        if not condition:
            self.title = "Diffusion-GAN (t hidden)"
        self.noise_std = noise_std
        self.beta_start, self.beta_end = beta_start, beta_end
        self.t_min, self.t_max = t_min, t_max
        self.law, self.condition = LAWS[law], condition
        self.controller = Controller(target, interval, tune_kimg, p)
        self.register_buffer("step", torch.arange(t_max), persistent=False)

    def prepare(self, networks: Networks) -> None:
        D = networks.D
        if self.condition:
            if D.width**2 > (own := sum(param.numel() for param in D.parameters())):
                raise ValueError(
                    f"D's last hidden layer has {D.width:,} units: to tell it t takes {D.width**2:,} weights, more "
                    f"than its own {own:,}. Set the method's `condition` to false"
                )
            self.weights = nn.Sequential(Linear(1, D.width, activate=True), D.head(D.width))
        add_around(D, "features", self.features_of_diffused)

    def features_of_diffused(self, features: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """D's last hidden layer for the images x [N, C, H, W], which are diffused before D sees them."""
        t = self.steps_of(len(x))
        note("t", t)
        a = self.kept()[t][:, None].to(x.dtype)
        level = (1 - a).sqrt()
        y = a.sqrt()[:, :, None, None] * x + self.noise_std * level[:, :, None, None] * torch.randn_like(x)
        return features(y) * (1 + self.weights(level)) if self.condition else features(y)

    def length(self) -> Tensor:
        """The number of steps of the diffusion."""
        return self.t_min + (self.controller.p.clamp(max=1) * (self.t_max - self.t_min)).round()

    def kept(self) -> Tensor:
        """a_t for t = 0, ..., t_max; no image takes those beyond T."""
        rise = (self.step / (self.length() - 1).clamp(min=1)).clamp(max=1)
        beta = self.beta_start + (self.beta_end - self.beta_start) * rise
        return F.pad(torch.cumprod(1 - beta, dim=0), (1, 0), value=1.0)

    def steps_of(self, images: int) -> Tensor:
        """A t for each of N = `images` images, int64 [N]."""
        T = self.length()
        clean, u = torch.rand(images, 2, device=T.device).unbind(1)
        t = self.law(1 - u, T).ceil().clamp(max=T)  # 1 - u is never 0; rounding may go beyond T
        return torch.where(clean < 0.5, 0, t).long()

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        super().observe(d_real, d_fake, cur_nimg)
        self.controller.p.clamp_(max=1)

    def log(self) -> dict[str, float]:
        return {**super().log(), "T": float(self.length())}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        plugins = dict(spec.plugins)
        if "projected" in plugins and plugins["diffusion_gan"]["condition"]:
            return (
                "the projected discriminator's hidden layer are its logits: set `condition` to false, as in the paper"
            )
        return None
