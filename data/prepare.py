"""Turn a source into the array that runs read.

    python -m data.prepare --dataset elpv --resolution 32 --out elpv-32.npy
    python -m data.prepare --dataset mine --path pictures.zip --resolution 64 --out mine-64.npy

Writes <out>.npy (uint8 [N, 3, H, W]) and, last, <out>.json (see data.base.Dataset). The bytes depend on
the source and the arguments only; memory stays bounded by one chunk of images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.base import DatasetError, Source
from data.image import RESIZE, fit
from data.sources import find
from suite.errors import ConfigError
from suite.files import write_atomic

CHUNK = 256  # images decoded before they are written


def prepare(
    source: Source, out: Path, resolution: int | None = None, crop: bool = False, resize: str = "box"
) -> dict[str, Any]:
    """Write `source` to `out` (.npy) and its metadata beside it; return the metadata.

    `resolution` in pixels, by default that of the images, which must then agree. `crop` and `resize`
    as in data.image.fit. Raises DatasetError and then leaves no new file.
    """
    if out.suffix != ".npy":
        raise ConfigError(f"{out}: the prepared array must be named *.npy (--out)")
    if resolution is not None and resolution < 1:
        raise ConfigError(f"resolution {resolution} must be at least 1 pixel (--resolution)")
    size = resolution or min(source.image(0).size)
    shape = (len(source), 3, size, size)
    meta_path = out.with_suffix(".json")
    digest = hashlib.sha256()
    # A stream rather than a memory map: on a full disk that is an OSError, not a killed process.
    with _replacing(out) as temporary:
        with temporary.open("wb") as file, tqdm(total=shape[0], desc=source.name, unit="img") as progress:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for start in range(0, shape[0], CHUNK):
                indices = range(start, min(start + CHUNK, shape[0]))
                pixels = [_load(source, index, size, resolution is None, crop, resize) for index in indices]
                chunk = np.stack(pixels).tobytes()
                file.write(chunk)
                digest.update(chunk)
                progress.update(len(indices))
        # Metadata of an earlier array must not outlive it, whatever happens between the two files.
        meta_path.unlink(missing_ok=True)
    meta = {
        "name": source.name,
        "resolution": size,
        "channels": 3,
        "count": shape[0],
        "classes": len(source.class_names),
        "labels": None if source.labels is None else source.labels.tolist(),
        "class_names": source.class_names,
        "licence": source.licence,
        "source": source.origin,
        "resize": resize,
        "crop": crop,
        "sha256": digest.hexdigest(),
    }
    write_atomic(meta_path, json.dumps(meta) + "\n")
    return meta


def _load(source: Source, index: int, size: int, uniform: bool, crop: bool, resize: str) -> np.ndarray:
    image, where = source.image(index), source.where(index)
    if uniform and min(image.size) != size:
        raise DatasetError(
            f"{where}: {image.width} x {image.height}, while {source.where(0)} has {size} pixels;"
            " give a resolution (--resolution) to resize all"
        )
    return fit(image, size, where, crop, resize)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: takes its place when the block ends well, is deleted otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Prepare a data set for training.")
    parser.add_argument("--dataset", required=True, help="a name in data/sources.csv, or yours with --path")
    parser.add_argument("--path", help="ZIP file or folder of your own images")
    parser.add_argument("--resolution", type=int, help="pixels; default: that of the images")
    parser.add_argument("--crop", action="store_true", help="take the central square of each image")
    parser.add_argument("--resize", choices=sorted(RESIZE), default="box", help="filter, default %(default)s")
    parser.add_argument("--out", required=True, type=Path, help="*.npy; metadata goes to *.json beside it")
    args = parser.parse_args(argv)
    try:
        prepare(find(args.dataset, args.path or None), args.out, args.resolution, args.crop, args.resize)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
