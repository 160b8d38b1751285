"""The networks of a trained run as files to start other runs from: `python -m training.networks --run-dir R --out F`.

Writes G_ema.safetensors and D.safetensors, which `start` of an artefact and the method transfer read, and prints their
digests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from augment.transfer import last_checkpoint, read
from suite.errors import ConfigError, one_line
from suite.files import sha256, write_atomic


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.networks", description=__doc__.splitlines()[0])
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


if __name__ == "__main__":
    with one_line():
        sys.exit(main())
