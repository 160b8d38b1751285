"""Sample grids of a generator with a fixed set of latents, so that one run's pictures can be compared over time.

And strips of interpolations: smooth ones speak against a generator that has learned its training images by heart
(arXiv:2006.10738, sec. 4.3).
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from leangan.core.files import write_atomic
from leangan.core.pixels import to_uint8
from leangan.plugins.pair import Generator
from leangan.training.sampler import step_seed

ROWS, COLUMNS = 6, 12
CELLS = ROWS * COLUMNS


@torch.no_grad()
def save_grid(path: Path, G: Generator, c: Tensor | None, seed: int) -> None:
    """Write a grid of images of G for the latents of `seed` and one-hot labels [CELLS, classes], or None."""
    torch.manual_seed(step_seed("grid", seed))
    z = torch.randn(CELLS, G.z_dim, device=next(G.parameters()).device)
    save_images(path, to_uint8(G(z, c)))


@torch.no_grad()
def save_strips(path: Path, G: Generator, c: Tensor | None, seed: int) -> None:
    """Write ROWS strips of COLUMNS images from one latent of `seed` to another, each of the class of one of `c`."""
    torch.manual_seed(step_seed("strips", seed))
    first, last = torch.randn(2, ROWS, G.z_dim, device=next(G.parameters()).device)
    c = None if c is None else c[:ROWS]
    save_images(path, to_uint8(interpolate(G, first, last, c).flatten(0, 1)))


def interpolate(G: Generator, first: Tensor, last: Tensor, c: Tensor | None) -> Tensor:
    """Images [N, COLUMNS, C, H, W] on the straight lines from latents `first` [N, z_dim] to `last`, both included.

    They are drawn in the space that G has for it (`Generator.latent`), with one noise for all images.
    """
    first, last = G.latent(first, c), G.latent(last, c)
    weights = torch.linspace(0, 1, COLUMNS, device=first.device).view(-1, *[1] * (first.ndim - 1))
    points = torch.lerp(first[:, None], last[:, None], weights).flatten(0, 1)
    return G.render(points, None if c is None else c.repeat_interleave(COLUMNS, 0)).unflatten(0, (-1, COLUMNS))


def save_images(path: Path, images: Tensor, columns: int = COLUMNS) -> None:
    """Write a PNG of uint8 images [N, C, H, W], `columns` of them side by side."""
    channels, size = images.shape[1], images.shape[2]
    grid = images.cpu().reshape(-1, columns, channels, size, size).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(-1, columns * size, channels)
    buffer = io.BytesIO()
    Image.fromarray(grid.squeeze(2).numpy() if channels == 1 else grid.numpy()).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
