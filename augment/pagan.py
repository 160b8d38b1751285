"""PA-GAN: progressive augmentation by bits that turn D's answer around (arXiv:1901.10422)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leangan.core.spec import RunSpec
from leangan.models.stylegan2.layers import Linear
from leangan.plugins.controller import ControlledMethod, Controller
from leangan.plugins.exclusion import image_augmentation
from leangan.plugins.method import Networks
from leangan.plugins.pair import add_before_bias
from leangan.plugins.precision import cast


class Method(ControlledMethod):
    """D is shown random bits with each image, and an odd number of ones swaps the classes real and fake:

        D'(x) = (-1)^(b_0 + ... + b_K-1) D(x, b),    b_i ~ Bernoulli(min(max((K p - i) / fade, 0), 1) / 2)

    The bits enter D through a dense layer whose output is added to FromRGB's before bias and activation. With the
    strength p, which r_t steers as it does in ADA, bits come into use one after the other, each over `fade` of a bit.

    Args:
        bits: K, those in use at p = 1; 16 in arXiv:2006.06676, fig. 8a.
        fade: 0.5 in the release of that paper; PA-GAN's own says that a new bit's probability rises to 1/2 gradually.
        target: of r_t, measured on D'; 0.95 there.
        interval, tune_kimg: see `plugins.controller`.
        p: initial strength.
    """

    title = "PA-GAN"
    paper = "arXiv:1901.10422, arXiv:2006.06676"
    constants = "paper, release"
    capturable = True
    needs = frozenset({"d_layers", "before_bias"})
    redraws = True
    revision = 1
    index: Tensor  # 0 to K - 1

    def __init__(
        self,
        bits: int = 16,
        fade: float = 0.5,
        target: float = 0.95,
        interval: int = 4,
        tune_kimg: float = 500,
        p: float = 0.0,
    ) -> None:
        super().__init__()
        if bits < 1:
            raise ValueError(f"bits is {bits}; 1 or more are allowed: change the method's `bits`")
        if fade <= 0:
            raise ValueError(f"fade is {fade}; it must be positive: change the method's `fade`")
        self.fade = fade
        self.controller = Controller(target=target, interval=interval, tune_kimg=tune_kimg, p=p)
        self.register_buffer("index", torch.arange(bits), persistent=False)

    def prepare(self, networks: Networks) -> None:
        first = networks.D.layers()[0]
        self.dense = Linear(len(self.index), len(first.weight))
        self.gain = first.bias_gain
        add_before_bias(first, self.inject)
        networks.D.register_forward_hook(self.turn)

    def inject(self, y: Tensor) -> Tensor:
        """FromRGB's output y [N, K, H, W] plus one value per sample and map that depends on the sample's bits."""
        used = ((len(self.index) * self.controller.p - self.index) / self.fade).clamp(0, 1)
        bits = (torch.rand(len(y), len(self.index), device=y.device) < used / 2).to(used.dtype)
        self.sign = 1 - 2 * (bits.sum(dim=1, keepdim=True) % 2)
        return y + cast(self.dense(bits) * self.gain, y.dtype)[:, :, None, None]

    def turn(self, D: nn.Module, inputs: tuple[Tensor | None, ...], logits: Tensor) -> Tensor:
        """The logits [N, 1] of D, with the sign that the bits of this call give."""
        return logits * self.sign

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if "adaptive_dropout" in dict(spec.plugins):
            return "PA-GAN and adaptive dropout are alternatives (arXiv:2006.06676, fig. 8a)"
        return image_augmentation(spec, "random bits")
