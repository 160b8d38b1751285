"""EfficientNet-Lite0 (arXiv:1905.11946 without squeeze-excitation) as a quick extractor for CPUs.

leangan/core/efficientnet_lite0.py says where the network comes from. Numbers from it order models by quality but are a
proxy: they are no FID and compare with nothing but each other.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from leangan.core.efficientnet_lite0 import load_lite0
from leangan.metrics import base
from leangan.metrics.folding import fold_norms

NAME = "efficientnet_lite0"

INPUT_PX = 48
"""Side the images are resized to: small enough for a CPU, large enough for the network's five halvings."""


class Extractor(base.Extractor):
    """1280 features of images of 48 px."""

    title = "EfficientNet-Lite0"
    package = "torch-fidelity"
    floats = 1280
    input_px = INPUT_PX
    resize = "antialiased bicubic"

    @staticmethod
    def load(weights: str | Path | None = None, sha256: str | None = None) -> tuple[nn.Module, str]:
        network = EfficientNetLite0(NAME, ["pooled"])
        return fold_norms(network), network.sha256


class EfficientNetLite0(FeatureExtractorBase):
    """torch-fidelity extractor: uint8 [N, 3, H, W] -> pooled features float32 [N, 1280] under "pooled"."""

    def __init__(self, name: str, features_list: list[str], **kwargs: object):
        super().__init__(name, features_list)
        self.network, self.sha256 = load_lite0(INPUT_PX)
        self.eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "pooled"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        if input.dtype != torch.uint8 or input.dim() != 4 or input.shape[1] != 3:
            raise ValueError(f"images must be uint8 [N, 3, H, W], not {input.dtype} {list(input.shape)}")
        x = F.interpolate(input.float(), (INPUT_PX, INPUT_PX), mode="bicubic", antialias=True)
        # Bicubic overshoots; the network was trained on pixels in [0, 255] scaled like this.
        x = (x.clamp(0, 255) - 127) / 128
        x = self.network.extract_features(x.contiguous(memory_format=torch.channels_last))
        return (x.mean((2, 3)),)


# For torch-fidelity's own commands, which take extractors by name.
if NAME not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor(NAME, EfficientNetLite0)
