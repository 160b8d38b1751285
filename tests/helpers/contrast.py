"""Networks with known maps, and InfoNCE in numpy, for the tests of InsGen and FakeCLR."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from leangan.plugins.method import Networks
from leangan.plugins.pair import Discriminator

WIDTH, COLORS = 5, 3


class Linear(Discriminator):
    """A D whose maps are W x at every pixel, so that their mean over pixels is W times the mean colour."""

    resolution, channels, width, maps = 4, COLORS, WIDTH, WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(COLORS, WIDTH, 1, bias=False))

    def features(self, x: Tensor) -> Tensor:
        maps = self.blocks(x).to(self.blocks[0].weight.dtype)
        return 7 * maps.sum(dim=(2, 3)) + 1  # of no use to the methods

    def score(self, features: Tensor, c: Tensor | None) -> Tensor:
        return features.sum(dim=1, keepdim=True)


class Colored(nn.Module):
    """A G whose latents z [N, 3] are the mean colours of its images."""

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        pattern = torch.linspace(-1, 1, 16, dtype=z.dtype).view(4, 4)
        return z[:, :, None, None] + pattern


def images(count: int) -> Tensor:
    return torch.randn(count, COLORS, 4, 4, dtype=torch.float64)


def prepared(method, make_spec, **changes):
    """(method, networks) in float64 after `prepare`; then D and all heads have learned something."""
    networks = Networks(Colored(), Linear().double(), make_spec(**changes))
    method.prepare(networks)
    method.double()
    with torch.no_grad():
        for param in [*networks.D.parameters(), *method.parameters()]:
            param += 0.3 * torch.randn_like(param)
    return method, networks


def weights(tensors) -> dict[str, np.ndarray]:
    """Tensors by name as numpy arrays, at this moment."""
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def colors(x: Tensor) -> np.ndarray:
    """Mean colours [N, 3] of images."""
    return x.detach().numpy().mean((2, 3))


def features(W: dict[str, np.ndarray], x: Tensor) -> np.ndarray:
    return colors(x) @ W["blocks.0.weight"][:, :, 0, 0].T


def unit(head: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The head's unit vectors [N, 128]: dense, ReLU, dense, length 1."""
    hidden = np.maximum(x @ head["0.weight"].T + head["0.bias"], 0)
    y = hidden @ head["2.weight"].T + head["2.bias"]
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def moved(old: dict[str, np.ndarray], new: dict[str, np.ndarray], momentum: float) -> dict[str, np.ndarray]:
    return {name: momentum * old[name] + (1 - momentum) * new[name] for name in old}


def info_nce(q: np.ndarray, k: np.ndarray, others: np.ndarray, temperature: float, raised=0.0) -> float:
    """The mean over images of -log softmax of the right answer, image by image."""
    losses = []
    for a, b in zip(q, k, strict=True):
        same, rest = np.exp(a @ b / temperature), np.exp((others @ a + raised) / temperature)
        losses.append(-np.log(same / (same + rest.sum())))
    return float(np.mean(losses))
