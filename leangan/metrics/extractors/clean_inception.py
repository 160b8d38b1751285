"""The Inception network behind clean-fid's resizing (arXiv:2104.11222): Clean-FID, in the package's mode "clean".

Images are resized to 299 px by an antialiased bicubic filter without rounding to 8 bits, then clipped to [0, 255]
and scaled to [-1, 1). clean-fid resizes with Pillow, image by image on the CPU; here the same filter is two matrix
products, on the device the images are on. The network is the TorchScript file that clean-fid loads.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from leangan.core.constants import constant
from leangan.metrics import base
from leangan.metrics.weights import CLEAN, find_weights

INPUT_PX = 299


class Extractor(base.Extractor):
    """2048 features, for metrics whose names begin with clean_."""

    title = "Inception-v3, clean"
    published = True
    package = "clean-fid"
    floats = 2048
    input_px = INPUT_PX
    resize = "clean bicubic, not rounded"

    @staticmethod
    def load(weights: str | Path | None = None, sha256: str | None = None) -> tuple[nn.Module, str]:
        path, digest = find_weights(CLEAN, weights, sha256)
        return CleanInception(path), digest


def resize_matrix(from_px: int, to_px: int) -> np.ndarray:
    """Pillow's bicubic filter (a = -1/2) as weights float64 [to_px, from_px], each row with sum 1.

    Where the image shrinks, the filter widens by the same factor; at the border it is cut off.
    """
    scale = from_px / to_px
    width = max(scale, 1.0)
    centres = (np.arange(to_px) + 0.5) * scale
    low = np.floor((centres - 2 * width + 0.5).clip(0))
    high = np.floor((centres + 2 * width + 0.5).clip(max=from_px))
    pixels = np.arange(from_px)
    x = np.abs(pixels + 0.5 - centres[:, None]) / width
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights *= (pixels >= low[:, None]) & (pixels < high[:, None])
    return weights / weights.sum(1, keepdims=True)


@constant
def resize_weights(from_px: int, to_px: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`resize_matrix` on `device`."""
    return torch.from_numpy(resize_matrix(from_px, to_px)).to(device, dtype)


class CleanInception(nn.Module):
    """uint8 [N, 3, H, W] -> (pooled features float32 [N, 2048],), from the TorchScript file `path`.

    It stays on the device that it is on when it is called first.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.layers = torch.jit.load(path, map_location="cpu").eval().layers
        self.requires_grad_(False)

    @cached_property
    def folded(self) -> torch.jit.ScriptModule:
        """`layers` with their weights as constants, which folds the batch norms into the convolutions."""
        return torch.jit.freeze(self.layers)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be uint8 [N, 3, H, W], not {images.dtype} {list(images.shape)}")
        return (self.folded((resize(images) - 128) / 128).flatten(1),)


def resize(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> float32 [N, C, INPUT_PX, INPUT_PX] in [0, 255], not rounded."""
    rows, columns = (resize_weights(side, INPUT_PX, torch.float32, images.device) for side in images.shape[2:])
    return (rows @ (images.float() @ columns.T)).clamp(0, 255)
