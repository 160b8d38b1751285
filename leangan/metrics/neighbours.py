"""A picture of what a generator has copied: fakes beside the training images nearest to them in feature space.

    leangan neighbours --protocol proxy --real R --fake F --run-dir RUN --data D.npy --subset U.json --out OUT

Eight columns: twice a fake and its three nearest training images. On the left the first fakes, as they come; on the
right those that lie nearest to a training image. All are of the run's last snapshot and first evaluation seed. The
numbers to it are `copying` and `nn_ratio` of leangan/metrics/formulas/memorisation.py.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from leangan.core.command_line import command_parser
from leangan.core.cuda_graph import use_graphs
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.data.contracts import open_dataset
from leangan.data.subset import read_subset
from leangan.metrics.fakes import Fakes
from leangan.metrics.features import labels_of_training_images
from leangan.metrics.guard import check_fake, check_real, read_run, trained_images
from leangan.metrics.nearest import nearest
from leangan.metrics.protocols import Protocol, read_protocol
from leangan.metrics.store import load_features, load_meta, load_reference, part_file
from leangan.training.device import add_device_options, pick_device, set_up
from leangan.training.snapshot import load_generator

ROWS = 8
NEIGHBOURS = 3


def picture(
    protocol: Protocol, real_path: Path, fake_path: Path, run_dir: Path, data: Path, subset: Path, device: torch.device
) -> Image.Image:
    """The picture of a run. Raises ConfigError if files do not match or the last snapshot has no images.

    Latents are those of the measurement; the generator's noise is as well on the kind of device that measured. A GPU
    must be set up without TF32, in which distances drown; the fakes are then made in the run's own arithmetic.
    """
    spec, train = read_run(run_dir)
    if not train["snapshots"]:
        raise ConfigError(f"{train['run']} has no snapshot: {train['reason'] or train['status']}")
    snapshot = train["snapshots"][-1]
    real_meta, part = load_meta(real_path), part_file(fake_path, snapshot["file"])
    fake_meta = load_meta(part)
    check_real(real_meta, protocol, spec, train, real_path)
    check_fake(fake_meta, snapshot, real_meta, part)
    trained, fake = trained_images(real_meta, train, subset), load_features(part, device)
    if trained is None:
        raise ConfigError(f"protocol {protocol.name} compares with no training images; choose one with full or train")
    if fake is None:
        raise ConfigError(f"{part}: {fake_meta['reason']}")
    of_train = load_reference(real_path, device).pooled[trained]

    distance, _ = nearest(fake.pooled, of_train)
    shown = [*range(min(ROWS, len(fake))), *distance.argsort()[:ROWS].tolist()]
    several = min(NEIGHBOURS, len(of_train))
    neighbours = torch.cdist(fake.pooled[shown], of_train).topk(several, largest=False).indices.cpu()

    dataset = open_dataset(data)
    indices = np.asarray(read_subset(subset, dataset)["indices"])
    G = load_generator(run_dir / snapshot["file"], str(device))
    labels = labels_of_training_images(data, subset, train) if G.c_dim else None
    set_up(device, torch.get_num_threads(), spec.tf32)
    images = Fakes(G, fake_meta["n_fake"], labels, fake_meta["seed"], device).images(shown).numpy()
    cells = np.concatenate([images[:, None], dataset.images[indices[neighbours]]], axis=1)  # [2 ROWS, 1 + 3, C, H, W]
    halves = np.concatenate(np.split(cells, 2), axis=1)
    rows, columns, channels, height, width = halves.shape
    pixels = halves.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    return Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels)


def save(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "neighbours",
        "Draw the fakes of a run with the training images that are nearest to them.",
        reads="Features of reals and fakes (leangan features), the run directory, its images and subset.",
        writes="One picture, --out.",
    )
    parser.add_argument("--protocol", required=True, help="a name in config/protocols.yaml")
    parser.add_argument("--real", required=True, type=Path, help="features of the reference set")
    parser.add_argument("--fake", required=True, type=Path, help="features of the run's fakes")
    parser.add_argument("--run-dir", required=True, type=Path, help="run directory")
    parser.add_argument("--data", required=True, type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--subset", required=True, type=Path, help="the training images among them (*.json)")
    parser.add_argument("--out", required=True, type=Path, help="*.png")
    add_device_options(parser)
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    set_up(device, args.threads, tf32=False)
    use_graphs(args.cuda_graphs)
    protocol = read_protocol(args.protocol)
    save(picture(protocol, args.real, args.fake, args.run_dir, args.data, args.subset, device), args.out)
