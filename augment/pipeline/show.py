"""A picture of all transforms, each alone at p = 1 on one image.

    leangan pipeline [IMAGE] --out sheet.png

Without IMAGE it is a photograph that comes with matplotlib.
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageOps
from torch import Tensor

from leangan.augment.pipeline.transforms import TRANSFORMS
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.pixels import as_float

DRAWS, COLUMNS = 5, 2


def load(path: Path, size: int) -> Tensor:
    """The middle square of an image file, [1, C, size, size] in [-1, 1]; grey or RGB."""
    with Image.open(path) as image:
        square = ImageOps.fit(image if image.mode == "L" else image.convert("RGB"), (size, size))
    pixels = torch.from_numpy(np.atleast_3d(np.array(square)))
    return as_float(pixels.permute(2, 0, 1)[None])


def sheet(image: Tensor, seed: int, strength: float) -> plt.Figure:
    """A row per transform: its name and DRAWS versions of the image [1, C, H, W]."""
    rows = len(TRANSFORMS) // COLUMNS
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(3.7 * COLUMNS, 0.62 * rows), layout="constrained", dpi=120)
    for axis, transform in zip(axes.T.flat, TRANSFORMS, strict=True):
        torch.manual_seed(seed)
        out = transform(image.expand(DRAWS, -1, -1, -1), 1.0, strength).clamp(-1, 1)
        strip = (torch.cat(list(out), 2) + 1) / 2
        axis.imshow(strip.permute(1, 2, 0).expand(-1, -1, 3).numpy())
        axis.set_ylabel(transform.__name__, rotation=0, ha="right", va="center", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "pipeline",
        "Draw what each transform of the augmentation pipeline does to an image.",
        reads="An image file; left out, a photograph that comes with matplotlib.",
        writes="One picture, --out.",
    )
    sample = get_sample_data("grace_hopper.jpg", asfileobj=False)
    parser.add_argument("image", nargs="?", type=Path, default=sample, help="an image file; default: a portrait")
    parser.add_argument("--out", type=Path, required=True, help="picture to write; its ending says the format: .png")
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--strength", type=float, default=1.0, help="1 is as published")
    parser.add_argument("--seed", type=int, default=1, help="of the random draws")
    args = parser.parse_args(argv)
    picture = io.BytesIO()
    if args.size < 1:
        raise ConfigError(f"size is {args.size}; 1 pixel or more is allowed: change --size")
    figure = sheet(load(args.image, args.size), args.seed, args.strength)
    try:
        figure.savefig(picture, format=args.out.suffix[1:] or "png")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    write_atomic(args.out, picture.getvalue())
