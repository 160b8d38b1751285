"""Turn a source into the array that runs read.

    leangan prepare --dataset elpv --resolution 32 --out elpv-32.npy
    leangan prepare --dataset mine --path pictures.zip --resolution 64 --out mine-64.npy --jobs 8

Writes <out>.npy (uint8 [N, 3, H, W]) and, last, <out>.json (see `data.contracts.Dataset`). The bytes depend on
the source and the arguments only, not on the number of jobs. Interrupted at any moment, the same command continues.
Memory does not grow with the set: each job holds a few pieces of 1 MB, or of one image.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import os
import re
import shutil
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from tqdm import tqdm

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError, Reported
from leangan.core.files import sha256, write_atomic
from leangan.data.contracts import DatasetError, Source
from leangan.data.fingerprint import stamp
from leangan.data.image import RESIZE, fit
from leangan.data.open_source import open_source
from leangan.data.partial import Partial, Places
from leangan.data.workers import ordered

PIECE_BYTES = 2**20  # of pixels decoded together; larger ones leave the processor's cache, smaller ones wait more
PIECES_PER_JOB = 4  # at least, or a process is not worth its start


@dataclass(frozen=True)
class Decoder:
    """How the images of `source` become pixels: [3, size, size] by `data.image.fit`.

    `uniform`: the images must have that size already.
    """

    source: Source
    size: int
    uniform: bool
    crop: bool
    resize: str

    def __call__(self, indices: range) -> np.ndarray:
        """The images `indices`, uint8 [len(indices), 3, size, size]. Raises DatasetError."""
        pixels = np.empty((len(indices), 3, self.size, self.size), dtype=np.uint8)
        for row, index in zip(pixels, indices, strict=True):
            row[:] = self._decode(index)
        return pixels

    def _decode(self, index: int) -> np.ndarray:
        image, where = self.source.image(index), self.source.where(index)
        if self.uniform and min(image.size) != self.size:
            raise DatasetError(
                f"{where}: {image.width} x {image.height}, while {self.source.where(0)} has {self.size} pixels;"
                " give a resolution (--resolution) to resize all"
            )
        return fit(image, self.size, where, self.crop, self.resize)


def prepare(
    source: Source,
    out: Path,
    resolution: int | None = None,
    crop: bool | None = None,
    resize: str | None = None,
    jobs: int = 1,
    fingerprint: str | None = None,
) -> dict[str, Any]:
    """Write `source` to `out` (.npy) and its metadata beside it; return the metadata.

    `resolution` in pixels, by default that of the images, which must then agree. `crop` and `resize` as in
    `data.image.fit`, by default those of the source's published protocol. `jobs` processes decode. `fingerprint`
    is that of the source (`data.fingerprint`) and is only stored in the metadata. Every image is decoded, and
    count and checksum are compared with what the source expects. Raises DatasetError and then leaves no new file;
    interrupted in any other way, the next call with the same arguments continues.
    """
    if out.suffix != ".npy":
        raise ConfigError(f"{out}: the prepared array must be named *.npy (--out)")
    if resolution is not None and resolution < 1:
        raise ConfigError(f"resolution {resolution} must be at least 1 pixel (--resolution)")
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs cannot prepare anything; 1 or more (--jobs)")
    if fingerprint is not None and not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise ConfigError(f"fingerprint {fingerprint!r}: must be the 64 hex digits of a SHA-256 (--fingerprint)")
    source = source.at(resolution)
    verify(source)
    crop = source.crop if crop is None else crop
    resize = source.resize if resize is None else resize
    size = resolution or min(source.image(0).size)
    decoder = Decoder(source, size, resolution is None, crop, resize)
    shape = (len(source), 3, size, size)
    length = max(1, PIECE_BYTES // (3 * size * size))
    pieces = [range(start, min(start + length, shape[0])) for start in range(0, shape[0], length)]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})

    meta_path = out.with_suffix(".json")
    work = identity(source, (shape, crop, resize, length))
    with Partial(out, work, header.getvalue(), length * 3 * size * size) as partial:
        for remainder in out.parent.glob(f".{meta_path.name}.*"):
            remainder.unlink()  # of a call that was killed while it wrote the metadata
        todo = list(enumerate(pieces))[partial.pieces :]
        done = todo[0][1].start if todo else shape[0]
        check_space(out, (shape[0] - done) * 3 * size * size)
        jobs = min(jobs, len(todo) // PIECES_PER_JOB)
        try:
            with (
                tqdm(desc=source.name, unit="img", total=shape[0], initial=done) as progress,
                closing(ordered(functools.partial(write_piece, decoder, partial.places), todo, jobs)) as written,
            ):
                for (_, indices), _ in zip(todo, written, strict=True):
                    partial.accept()
                    progress.update(len(indices))
        except DatasetError:
            partial.discard()
            raise
        meta = describe(decoder, partial.digest.hexdigest(), fingerprint)
        text = json.dumps(meta) + "\n"
        # Metadata of an earlier array must not outlive it, whatever happens between the two files.
        meta_path.unlink(missing_ok=True)
        partial.finish()
        write_atomic(meta_path, text)
        partial.discard()
    return meta


def write_piece(decoder: Decoder, places: Places, piece: tuple[int, range]) -> None:
    """Decode a piece, given as its number and its images, and write it. Pixels between processes would cost more."""
    number, indices = piece
    places.write(number, decoder(indices).data)


def describe(decoder: Decoder, digest: str, fingerprint: str | None) -> dict[str, Any]:
    """The metadata of the prepared array, see `data.contracts.Dataset`."""
    source = decoder.source
    return {
        "name": source.name,
        "resolution": decoder.size,
        "channels": 3,
        "count": len(source),
        "classes": len(source.class_names),
        "labels": None if source.labels is None else source.labels.tolist(),
        "class_names": source.class_names,
        "licence": source.licence,
        "source": source.origin,
        "resize": decoder.resize,
        "crop": decoder.crop,
        "fingerprint": fingerprint,
        "sha256": digest,
    }


def check_space(out: Path, needed: int) -> None:
    """Raises ConfigError where `out` lacks the space for `needed` more bytes, before an hour of work shows it."""
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise ConfigError(f"{out}: needs {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free there; make room")


def verify(source: Source) -> None:
    """Compare the source with what is known of the published set. Raises DatasetError."""
    expected = source.expected
    if expected.sha256 is not None:
        path = source.paths()[0]
        digest = sha256(path)
        if digest != expected.sha256:
            raise DatasetError(
                f"{path}: SHA-256 is {digest}, that of the published {source.name} is {expected.sha256};"
                " fetch the file again, or give your own set a name of its own"
            )
    if expected.count is not None and len(source) != expected.count:
        raise DatasetError(
            f"{source.name}: {len(source)} images, the published set has {expected.count};"
            " complete it, or give your own set a name of its own"
        )


def identity(source: Source, arguments: tuple) -> str:
    """SHA-256 that changes with the arguments, with the source's labels, and with names, sizes or times of its files.

    Also with Pillow, whose decoders may round differently in another version.
    """
    labels = None if source.labels is None else hashlib.sha256(source.labels.tobytes()).hexdigest()
    known = [source.name, source.origin, len(source), labels, source.class_names, PIL.__version__, arguments]
    digest = hashlib.sha256(json.dumps(known).encode())
    for path in source.paths():
        digest.update(stamp(str(path), path.stat()))
    return digest.hexdigest()


def main(argv: list[str] | None = None) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = command_parser(
        "prepare",
        "Turn a data set into the array that runs read.",
        reads="The source of a known set, or --path: a ZIP, a folder of images or class folders, TFRecords or LMDB.",
        writes="--out: uint8 [N, 3, H, W], and its description, *.json in the same folder.",
    )
    parser.add_argument("--dataset", required=True, help="a name in leangan/data/sources.csv, or yours with --path")
    parser.add_argument("--path", help="your own images: ZIP file, folder, TFRecords or LMDB")
    parser.add_argument("--resolution", type=int, help="pixels; default: that of the images")
    parser.add_argument(
        "--crop", action=argparse.BooleanOptionalAction, help="take the central square; default: as published"
    )
    parser.add_argument("--resize", choices=sorted(RESIZE), help="filter; default: as published, box for your own")
    parser.add_argument("--jobs", type=int, default=cores, help="processes that decode, default %(default)s")
    parser.add_argument("--fingerprint", help="fingerprint of the source, stored in the metadata; default: none")
    parser.add_argument("--out", required=True, type=Path, help="*.npy; metadata goes to *.json beside it")
    args = parser.parse_args(argv)
    source = open_source(args.dataset, args.path or None)
    try:
        prepare(source, args.out, args.resolution, args.crop, args.resize, args.jobs, args.fingerprint or None)
    except BrokenProcessPool as error:
        raise Reported(
            "a job was killed, perhaps for lack of memory; the same command continues where it was, with fewer --jobs"
        ) from error
