"""Sample grids of a generator with a fixed set of latents, so that one run's pictures can be compared over time."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from suite.files import write_atomic
from training.sampler import step_seed

ROWS, COLUMNS = 6, 12
CELLS = ROWS * COLUMNS


def to_uint8(x: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, rounded to the nearest of 256 levels as both papers' metrics do."""
    return (x * 127.5 + 128).clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def save_grid(path: Path, G: nn.Module, c: Tensor | None, seed: int) -> None:
    """Write a grid of images of G for the latents of `seed` and one-hot labels [CELLS, classes], or None."""
    torch.manual_seed(step_seed("grid", seed))
    z = torch.randn(CELLS, G.z_dim, device=next(G.parameters()).device)
    save_images(path, to_uint8(G(z, c)))


def save_images(path: Path, images: Tensor) -> None:
    """Write a PNG of uint8 images [CELLS, C, H, W] in ROWS x COLUMNS cells."""
    channels, size = images.shape[1], images.shape[2]
    grid = images.cpu().reshape(ROWS, COLUMNS, channels, size, size).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(ROWS * size, COLUMNS * size, channels)
    buffer = io.BytesIO()
    Image.fromarray(grid.squeeze(2).numpy() if channels == 1 else grid.numpy()).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
