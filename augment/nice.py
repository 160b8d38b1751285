"""NICE: noise on D's features, as strong as its overfitting asks for, must not change them (NeurIPS 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.errors import ConfigError
from leangan.core.ranks import mean_over_ranks
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import DStep, GStep, Networks, Step
from leangan.plugins.pair import add_before_bias
from leangan.plugins.precision import cast


class Method(method.Method):
    """Multiplies what each convolution of D's blocks gives, skips included and before bias and activation, by noise per
    sample and map,

        y_nk <- y_nk * e_nk,    e_nk ~ N(1, beta^2),

    and asks D's last hidden layer f to be the same under two draws e and e':

        D's loss += weight * (E |f(x, e) - f(x, e')|^2 over reals + the same over fakes) / width
        G's loss += weight * (the same over fakes) / width

    The images are as D sees them, and e is the draw that gave the logits: D's step costs one more pass of reals and
    fakes, G's one of fakes. beta follows how many reals D takes for real, and never falls below 0:

        beta <- beta + rate * sign(E sign D(real) - target) after each D step.

    In the paper G's loss also has the term over reals. Nothing of it depends on G, so that it is left out.

    The division by the width is this project's. |f - f'|^2 / width is the mean square of the change of a logit that a
    random direction of unit gain reads from f: in StyleGAN2 an output whose weights are N(0, 1 / width), in BigGAN,
    whose f is a sum over pixels, a spectrally normalised one. One weight then means the same in both, and in the terms
    of consistency regularisation.

    The equations are those of the authors' slides; neither the paper's constants nor its code are published.

    Args:
        weight: this project's choice, 10, which CR and bCR have for squared changes of the logit.
        target: 0.5, which the same authors have for the same rule in the release of CHAIN (arXiv:2404.00521).
        rate: 0.001, from there too.
        beta: at the start; this project's choice, 0.
        first_block: the block from which on there is noise, counted from 0 at the image; this project's choice, 0. The
            slides leave it open. FromRGB, StyleGAN2's 4 x 4 convolution and its dense layers have none.
    """

    title = "NICE"
    paper = "NeurIPS 2023"
    constants = "project"
    capturable = True
    quick = {"beta": 0.5}
    neutral = {"beta": 0.0, "rate": 0.0}
    needs = frozenset({"blocks", "before_bias"})
    compares_passes = True
    redraws = True
    beta: Tensor

    def __init__(
        self,
        weight: float = 10.0,
        target: float = 0.5,
        rate: float = 0.001,
        beta: float = 0.0,
        first_block: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"weight": weight, "rate": rate, "beta": beta, "first_block": first_block}.items():
            if value < 0:
                raise ValueError(f"{name} is {value}; 0 or more is allowed: change the method's `{name}`")
        if not -1 <= target <= 1:
            raise ValueError(f"target is {target}; -1 <= target <= 1 is allowed: change the method's `target`")
        self.weight = weight
        self.target = target
        self.rate = rate
        self.first_block = first_block
        self.register_buffer("beta", torch.tensor(float(beta)))

    def prepare(self, networks: Networks) -> None:
        blocks = networks.D.blocks
        if self.first_block >= len(blocks):
            raise ConfigError(
                f"first_block is {self.first_block}, but D at {networks.D.resolution} px has {len(blocks)} blocks: "
                f"change nice's `first_block` in config/methods.yaml to {len(blocks) - 1} at most"
            )
        for block in blocks[self.first_block :]:
            for layer in (block.conv0, block.conv1, block.skip):
                if layer is not None:
                    add_before_bias(layer, self.noisy)

    def noisy(self, y: Tensor) -> Tensor:
        """y [N, K, H, W] times one number per sample and map."""
        noise = 1 + self.beta * torch.randn(*y.shape[:2], device=y.device)
        return y * cast(noise, y.dtype)[:, :, None, None]

    def d_loss(self, ctx: DStep) -> Tensor:
        real, fake = self.change(ctx, ctx.t_real, ctx.f_real), self.change(ctx, ctx.t_fake, ctx.f_fake)
        return self.weight * (real + fake)

    def g_loss(self, ctx: GStep) -> Tensor:
        return self.weight * self.change(ctx, ctx.t_fake, ctx.f_fake)

    def change(self, ctx: Step, t: Tensor, f: Tensor) -> Tensor:
        """E |f - f'|^2 / width, with f' the last hidden layer that D has for the images t under other noise."""
        return F.mse_loss(ctx.D.features(t), f)

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        taken = mean_over_ranks(d_real.sign().mean())
        self.beta.add_(self.rate * torch.sign(taken - self.target)).clamp_(min=0)

    def log(self) -> dict[str, float]:
        return {"beta": float(self.beta)}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        for name in ("relativistic", "wgan_gp"):
            if name in dict(spec.plugins):
                return f"it goes by the sign of D's logits, whose level {name!r} leaves free"
        return None
