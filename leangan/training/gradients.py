"""What G learns from: generated images and, for each pixel, how strongly D's answer depends on it.

arXiv:2006.06676, fig. 6c shows such magnitudes over training: where D overfits they lose their detail. The
normalisation is not published; here each image's magnitudes are divided by their maximum. So they are those of the
gradient of G's loss as well, which differs from that of D's output by one factor per image.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from leangan.core.pixels import to_uint8
from leangan.plugins.method import Role
from leangan.plugins.pair import Generator
from leangan.training.sampler import step_seed
from leangan.training.samples import save_images

COLUMNS = 8


def magnitudes(D: nn.Module, transform: Callable[[Tensor, Role], Tensor], x: Tensor, c: Tensor | None) -> Tensor:
    """|d D(transform(x)) / dx| over the channels of images [N, C, H, W], in [0, 1]: [N, 1, H, W]; 0 where D is flat.

    D is the network in evaluation mode; a gradient that is not finite counts as 0.
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(D(transform(x, "fake_g"), c).sum(), x)
    size = gradient.nan_to_num(0, 0, 0).norm(dim=1, keepdim=True)
    return size / size.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)


def save_gradients(
    path: Path,
    G: Generator,
    D: nn.Module,
    transform: Callable[[Tensor, Role], Tensor],
    c: Tensor | None,
    batch: int,
    seed: int,
) -> None:
    """Write a row of up to COLUMNS images of G for the latents of `seed` above a row of their gradients, as a PNG.

    D sees a whole batch, as in G's steps: `batch` images with one-hot labels [batch, classes], or None. Draws from
    torch's global generators: seed them afterwards.
    """
    torch.manual_seed(step_seed("gradients", seed))
    with torch.no_grad():
        x = G(torch.randn(batch, G.z_dim, device=next(G.parameters()).device), c)
    D.eval()
    gradients = 2 * magnitudes(D, transform, x, c)[:COLUMNS] - 1
    D.train()
    x = x[:COLUMNS]
    save_images(path, to_uint8(torch.cat([x, gradients.expand_as(x)])), columns=len(x))
