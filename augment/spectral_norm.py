"""Spectral normalisation of StyleGAN2's discriminator (arXiv:1802.05957; arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

from torch.nn.utils.parametrizations import spectral_norm

from leangan.core.spec import RunSpec
from leangan.models.stylegan2.layers import Conv
from leangan.plugins import method
from leangan.plugins.exclusion import other_backbone
from leangan.plugins.method import Networks

SN_EPS = 1e-12  # least length a vector is divided by


class Method(method.Method):
    """Divides the weight W of each 3 x 3 convolution of D by its largest singular value, W as a matrix [O, I * 9].

    sigma(W) = u^T W v, with u and v from one power iteration per call of D, kept from call to call, and constants
    for the gradient. FromRGB, skips and dense layers stay as they are. The factor 1/sqrt(fan_in) of the equalised
    learning rate would cancel, so the normalised layers go without; their gain of sqrt(2) belongs to the activation.
    """

    title = "Spectral norm"
    paper = "arXiv:1802.05957, arXiv:2006.06676"

    def prepare(self, networks: Networks) -> None:
        for layer in list(networks.D.modules()):
            if isinstance(layer, Conv) and layer.weight.shape[-1] == 3:
                spectral_norm(layer, eps=SN_EPS)
                layer.weight_gain = layer.bias_gain

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        return other_backbone(spec, "discriminator")
