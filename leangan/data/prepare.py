"""Turn a source into the array that runs read.

    leangan prepare --dataset elpv --resolution 32 --out elpv-32.npy
    leangan prepare --dataset mine --path pictures.zip --resolution 64 --out mine-64.npy --jobs 8

Writes <out>.npy (uint8 [N, 3, H, W]) and, last, <out>.json (see `data.contracts.Dataset`). The bytes depend on
the source and the arguments only, not on the number of jobs. Interrupted at any moment, the same command continues;
after images were mended, added or removed, it decodes only those that are new. No pixels are held in memory but a few
pieces of 1 MB, or of one image, in each job; of each image a name and 0.3 kB.
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
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from tqdm import tqdm

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError, Reported
from leangan.core.files import sha256, write_atomic
from leangan.data.broken import LISTED, BrokenImages, broken_images
from leangan.data.contracts import DatasetError, Source
from leangan.data.decoder import Decoder, Piece, write_piece
from leangan.data.image import RESIZE, Facts
from leangan.data.open_source import open_source
from leangan.data.partial import Partial
from leangan.data.report import copies_in, count, sentence
from leangan.data.workers import ordered

PIECE_BYTES = 2**20  # of pixels decoded together; larger ones leave the processor's cache, smaller ones wait more
PIECES_PER_JOB = 4  # at least, or a process is not worth its start


def prepare(
    source: Source,
    out: Path,
    resolution: int | None = None,
    crop: bool | None = None,
    resize: str | None = None,
    jobs: int = 1,
    fingerprint: str | None = None,
    white: int | None = None,
) -> dict[str, Any]:
    """Write `source` to `out` (.npy) and its metadata beside it; return the metadata.

    `resolution` in pixels, by default that of the images, which must then agree. `crop` and `resize` as in
    `data.image.fit`, by default those of the source's published protocol. `jobs` processes decode. `fingerprint`
    is that of the source (`data.fingerprint`) and is only stored in the metadata. `white` as in `data.image.to_rgb`;
    without it, grey images whose 16 bits are not used to the full are an error. Every image is decoded, and count and
    checksum are compared with what the source expects.

    Raises DatasetError, which names all broken images. Pixels that were decoded are kept beside `out` until it is
    done: the next call decodes images that are new or have changed.
    """
    if out.suffix != ".npy":
        raise ConfigError(f"{out}: the prepared array must be named *.npy (--out)")
    if resolution is not None and resolution < 1:
        raise ConfigError(f"resolution {resolution} must be at least 1 pixel (--resolution)")
    if white is not None and not 1 <= white <= 65535:
        raise ConfigError(f"white {white} must lie in [1, 65535] (--white, or white of the set under datasets)")
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs cannot prepare anything; 1 or more (--jobs)")
    if fingerprint is not None and not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise ConfigError(f"fingerprint {fingerprint!r}: must be the 64 hex digits of a SHA-256 (--fingerprint)")
    source = source.at(resolution)
    verify(source)
    crop = source.crop if crop is None else crop
    resize = source.resize if resize is None else resize
    like, size = (None, resolution) if resolution else first_size(source)
    decoder = Decoder(source, size, like, crop, resize, white)
    stamps = [hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24] for text in source.stamps()]
    header = io.BytesIO()
    shape = (len(source), 3, size, size)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})

    meta_path = out.with_suffix(".json")
    # With Pillow, whose decoders may round differently in another version.
    work = json.dumps([size, like is None, crop, resize, white, PIL.__version__])
    with Partial(out, work, len(header.getvalue()), 3 * size * size) as partial:
        if not out.exists():  # an array that was finished and is not described yet is part of the work again
            meta_path.unlink(missing_ok=True)
        for remainder in out.parent.glob(f".{meta_path.name}.*"):
            remainder.unlink()  # of a call that was killed while it wrote the metadata
        decode_missing(decoder, partial, stamps, jobs)
        facts = [Facts(*partial.kept[stamp].note) for stamp in stamps]
        check_white(source, facts, white)
        digest = hashlib.sha256()
        copies = copies_in(digested(partial.rows(stamps), digest))
        meta = describe(decoder, digest.hexdigest(), fingerprint)
        meta["preparation"] = count(facts, copies, source.left_out)
        text = json.dumps(meta) + "\n"
        # Metadata of an earlier array must not outlive it, whatever happens between the two files.
        meta_path.unlink(missing_ok=True)
        partial.finish(header.getvalue(), stamps)
        write_atomic(meta_path, text)
        partial.discard()
    return meta


def digested(rows: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    """The same rows; on their way they go into `digest`."""
    for row in rows:
        digest.update(row)
        yield row


def first_size(source: Source) -> tuple[int, int]:
    """The number of the first image that can be read, and its shorter side in pixels. Raises DatasetError."""
    broken = []
    for index in range(min(len(source), LISTED)):
        try:
            return index, min(source.image(index).size)
        except DatasetError as error:
            broken.append(error)
    raise broken_images(source, broken, len(broken))


def decode_missing(decoder: Decoder, partial: Partial, stamps: list[str], jobs: int) -> None:
    """Decode the images whose rows `partial` lacks, by `stamps`. Raises DatasetError, which names all broken ones."""
    source, row_bytes = decoder.source, partial.places.row_bytes
    missing = [index for index, stamp in enumerate(stamps) if stamp not in partial.kept]
    length = max(1, PIECE_BYTES // row_bytes)
    todo = [Piece(partial.written + start, missing[start : start + length]) for start in range(0, len(missing), length)]
    copied = 0 if partial.is_ordered(stamps) else len(stamps)
    check_space(partial.target, (len(missing) + copied) * row_bytes)
    jobs = min(jobs, len(todo) // PIECES_PER_JOB)
    broken: list[DatasetError] = []
    with (
        tqdm(desc=source.name, unit="img", total=len(stamps), initial=len(stamps) - len(missing)) as progress,
        closing(ordered(functools.partial(write_piece, decoder, partial.places), todo, jobs)) as written,
    ):
        for piece, (images, sha256) in zip(todo, written, strict=True):
            notes = [image if isinstance(image, Facts) else None for image in images]
            partial.accept([stamps[index] for index in piece.indices], notes, sha256)
            progress.update(len(images))
            broken += [image for image in images if isinstance(image, DatasetError)]
            seen = piece.first + len(images) - todo[0].first
            if len(broken) > LISTED and 2 * len(broken) > seen:
                raise broken_images(source, broken, seen)  # the others will be no better
    if broken:
        raise broken_images(source, broken)


def check_white(source: Source, facts: Sequence[Facts], white: int | None) -> None:
    """Whether 16-bit images use their range. Raises DatasetError where what they hold would become nearly black."""
    for kind in ("deep grey", "deep colour"):
        brightest = max((each.brightest for each in facts if kind in each.done), default=0)
        if not brightest or brightest >= 2**15 or white == 65535 or (kind == "deep grey" and white is not None):
            continue
        full = max(2 ** brightest.bit_length() - 1, 255)
        remedy = {
            "deep grey": f"say which value is white, with white: {full} of the set (--white {full}), or 65535",
            "deep colour": "save them with 8 bits of each colour, or state white: 65535 of the set (--white 65535)",
        }[kind]
        raise DatasetError(
            f"{source.name}: none of its 16-bit images ({kind.removeprefix('deep ')}) has a value above {brightest}, so"
            f" that they would become nearly black; {remedy} if they are so dark"
        )


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
        "white": decoder.white,
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
    parser.add_argument(
        "--white", type=int, metavar="VALUE", help="what is white in grey images of 16 bits, such as 4095 for 12 used"
    )
    parser.add_argument("--jobs", type=int, default=cores, help="processes that decode, default %(default)s")
    parser.add_argument("--fingerprint", help="fingerprint of the source, stored in the metadata; default: none")
    parser.add_argument("--out", required=True, type=Path, help="*.npy; metadata goes to *.json beside it")
    args = parser.parse_args(argv)
    source = open_source(args.dataset, args.path or None)
    options = (args.resolution, args.crop, args.resize, args.jobs, args.fingerprint or None, args.white)
    try:
        with redirect_stderr(sys.stdout):  # progress; errors alone go to stderr, see workflow/rules/data.smk
            meta = prepare(source, args.out, *options)
    except BrokenImages as error:
        sys.stdout.flush()
        print("", *error.lines, sep="\n", file=sys.stderr)
        raise Reported(error.summary) from error
    except BrokenProcessPool as error:
        raise Reported(
            "a job was killed, perhaps for lack of memory; the same command continues where it was, with fewer --jobs"
        ) from error
    print(sentence(meta))
