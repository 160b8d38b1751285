"""The networks of a trained run as files to start other runs from.

    leangan networks --run-dir RUN --out FOLDER

Writes G_ema.safetensors and D.safetensors, which `start` of an artefact and the method transfer read, and prints their
digests.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from leangan.augment.transfer import last_checkpoint, read
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import sha256, write_atomic


def main(argv: list[str] | None = None) -> int:
    parser = command_parser(
        "networks",
        "Write the networks of a trained run as files to start other runs from.",
        reads="--run-dir: train.json and the newest checkpoint of a run that has ended.",
        writes="G_ema.safetensors and D.safetensors in the folder --out; their digests are printed.",
    )
    parser.add_argument("--run-dir", type=Path, required=True, help="folder of a trained run: results/<scale>/runs/...")
    parser.add_argument("--out", type=Path, required=True, help="folder for G_ema.safetensors and D.safetensors")
    args = parser.parse_args(argv)
    try:
        source = last_checkpoint(args.run_dir)
    except RuntimeError:
        raise ConfigError(
            f"{args.run_dir} has no networks to write: its training ended otherwise than done, as its train.json says. "
            "Name another run by --run-dir"
        ) from None
    for part in ("G_ema", "D"):
        tensors: dict[str, torch.Tensor] = read(source, part)
        path = args.out / f"{part}.safetensors"
        write_atomic(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))
        print(f"{part}: {{file: {path}, sha256: {sha256(path)}}}")
    return 0
