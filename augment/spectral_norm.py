"""Spectral normalisation of the discriminator (arXiv:1802.05957; arXiv:2006.06676, fig. 8a)."""

from __future__ import annotations

from torch.nn.utils.parametrizations import spectral_norm

from leangan.plugins import method
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
    capturable = True
    neutral = {}
    needs = frozenset({"d_layers", "equalised"})
    revision = 1

    def prepare(self, networks: Networks) -> None:
        for layer in networks.D.layers():
            if layer.weight.ndim == 4 and layer.weight.shape[-1] == 3:
                spectral_norm(layer, eps=SN_EPS)
                layer.weight_gain = layer.bias_gain
