"""The Inception network of 2015-12-05, by which FID, KID and IS are defined, in torch-fidelity's port."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from torch_fidelity.utils import create_feature_extractor

from leangan.metrics import base
from leangan.metrics.folding import fold_norms
from leangan.metrics.weights import FIDELITY, find_weights

LAYERS = ["2048", "logits_unbiased"]
"""As in the original code, IS goes without the last bias."""


class Extractor(base.Extractor):
    """2048 features and 1008 logits."""

    title = "Inception-v3"
    published = True
    named = False
    package = "torch-fidelity"
    floats = 3056
    input_px = 299
    resize = "bilinear, as TensorFlow 1"

    @staticmethod
    def load(weights: str | Path | None = None, sha256: str | None = None) -> tuple[nn.Module, str]:
        path, digest = find_weights(FIDELITY, weights, sha256)
        network = create_feature_extractor(
            "inception-v3-compat", LAYERS, cuda=False, feature_extractor_weights_path=str(path), verbose=False
        )
        return fold_norms(network), digest
