"""NICE: D learns to give the same features under noise, which grows as D overfits (NeurIPS 2023)."""

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
    """Multiplies the output y of both convolutions and of the skip in each block of D by noise per sample n and map k:

        y_nk <- y_nk * e_nk,    e_nk ~ N(1, beta^2).

    The noise comes before bias, norm and activation. D's last hidden layer f has to be the same under two draws e and
    e':

        D's loss += weight * (E |f(x, e) - f(x, e')|^2 over reals + the same over fakes) / width
        G's loss += weight * (the same over fakes) / width

    Both passes see the same transformed images, and e is the draw that gave the logits. D's step costs one more pass of
    reals and fakes, G's step one more pass of fakes. beta rises while more reals have positive logits than `target`
    asks for, and never falls below 0:

        beta <- beta + rate * sign(E sign D(real) - target) after each D step.

    In the paper G's loss also has the term over reals. It does not depend on G, so it is left out.

    The division by the width is this project's. |f - f'|^2 / width is the mean square of the change of a logit that a
    random direction of unit gain reads from f. In StyleGAN2 such a direction is an output whose weights are
    N(0, 1 / width). In BigGAN, whose f is a sum over pixels, it is a spectrally normalised output. The weight thus
    means the same in these two, and the same as that of consistency regularisation.

    In FastGAN the weight means about the same for the logit of one place in the image. D's own logit is the mean of
    many places and changes less. The second view of the image has no noise: its maps, a fifth of f, do not change. The
    batch norms make the f of each image depend on the draws of all images in the pass.

    At beta = 0 the term is 0 in StyleGAN2. BigGAN and FastGAN make a step of power iteration in each pass, which moves
    their weights a little between the two: there the term is small (about 1e-5 in the preset `tiny-biggan`), not 0.

    The equations come from the authors' slides. Neither the paper's constants nor its code are published.

    Args:
        weight: 10, this project's choice: CR and bCR have it for squared changes of the logit.
        target: 0.5, which the same authors use for the same rule in the release of CHAIN (arXiv:2404.00521).
        rate: 0.001, from there too.
        beta: the initial value; 0, this project's choice.
        first_block: the first block with noise, counted from 0 at the image; 0, this project's choice. The slides leave
            it open. Layers outside the blocks have no noise.
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
        """E |f - f'|^2 / width, with f' D's last hidden layer for the images t under other noise."""
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
