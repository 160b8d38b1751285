"""An extractor with its network on a device, ready to turn images into features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from leangan.metrics import base
from leangan.metrics.base import Features
from leangan.metrics.contract import check_features, check_loaded, require
from leangan.metrics.extractor_facts import FILE, library
from leangan.training.device import arithmetic


@dataclass(frozen=True)
class LoadedExtractor:
    """An extractor's network: uint8 images [N, 3, H, W] on its device -> Features there.

    `sha256` is that of the weights, or of the code that measures without any. `tf32`: whether the device rounds float32
    factors to 10 bits meanwhile.
    """

    name: str
    of: type[base.Extractor]
    network: nn.Module
    sha256: str
    tf32: bool

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        return replace(check_features(self.network, self.network(images), len(images)), extractor=self.name)

    def identity(self) -> dict[str, str | int | None]:
        """What has to agree before two sets of features may be compared."""
        return {
            "extractor": self.name,
            "extractor_sha256": self.sha256,
            "input_px": self.of.input_px,
            "resize": self.of.resize,
            "library": library(self.name),
            "tf32": self.tf32,
            # Another rounding than with norms of their own, which earlier features were computed with.
            "norms": "folded",
        }


def load_extractor(
    name: str,
    device: torch.device | str = "cpu",
    inception_weights: str | Path | None = None,
    inception_sha256: str | None = None,
    tf32: bool = False,
) -> LoadedExtractor:
    """The extractor `name` in evaluation mode on `device`.

    `inception_weights` and `inception_sha256` as in `metrics.weights.find_weights`. `tf32` is what the process
    was set up with (`training.device.set_up`). Raises ConfigError, WeightsError before anything of the file is
    executed.
    """
    device = torch.device(device)
    extractor = require("extractor", name, FILE)
    network, sha256 = check_loaded(extractor, extractor.load(inception_weights, inception_sha256))
    # With channels last, Inception is 1.45 times as fast on a CPU.
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    return LoadedExtractor(name, extractor, network, sha256, arithmetic(device, tf32, "none")["tf32"])
