"""Files in the form of both official Inception networks, with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity import feature_extractor_inceptionv3

from leangan.metrics.weights import CLEAN, FIDELITY


def write_fidelity(folder: Path) -> Path:
    """The weights of torch-fidelity's port."""
    path = folder / FIDELITY.name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        network = feature_extractor_inceptionv3.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # A variance of 2 / fan_in, with which features neither die out nor explode.
            module.weight.data.uniform_(-1, 1, generator=generator)
            module.weight.data *= (6 / module.weight[0].numel()) ** 0.5
    used(network, generator)
    torch.save(network.state_dict(), path)
    return path


def used(network: nn.Module, generator: torch.Generator) -> None:
    """Give norms the statistics, gains and shifts that training leaves: all others than they begin with."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for part, low, high in ((norm.running_mean, -0.2, 0.2), (norm.running_var, 0.5, 2), (norm.bias, -0.2, 0.2)):
                part.data.uniform_(low, high, generator=generator)
            norm.weight.data.uniform_(0.7, 1.4, generator=generator)


class Official(nn.Module):
    """What clean-fid needs of its network: `layers` from scaled images to 2048 features. A small one."""

    def __init__(self):
        super().__init__()
        features = nn.Sequential(
            *(nn.Conv2d(3, 32, 9, 8, bias=False), nn.BatchNorm2d(32, eps=1e-3), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, 2), nn.BatchNorm2d(64), nn.ReLU()),
        )
        used(features, torch.Generator().manual_seed(0))
        self.layers = nn.Sequential(features, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, 2048), nn.ReLU())

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        return self.layers(x)


def write_clean(folder: Path) -> Path:
    """TorchScript with a part called `layers`, as clean-fid loads it."""
    torch.manual_seed(0)
    path = folder / CLEAN.name
    torch.jit.script(Official().eval()).save(str(path))
    return path
