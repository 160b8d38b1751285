"""Speed of data preparation in images per second, as a Markdown table.

    python -m benchmarks.prepare --images 20000 2000 --jobs 1 2

The first line of each form is one process that does nothing but read and decode the same images. CPU time is that
of all processes, their start included; on a shared machine it says more than the clock. The images are noise that is
about as hard to compress as photographs: PNG takes 1.8 bytes per pixel at 256 px.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from leangan.data.contracts import Source
from leangan.data.prepare import prepare
from leangan.data.readers.archive import Archive
from leangan.data.readers.folder import Folder

DISTINCT = 16  # images; the others are copies


def photograph(size: int, seed: int) -> Image.Image:
    """Noise whose amplitude falls with frequency^-1.5, in three related colours."""
    random = np.random.RandomState(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    fields = np.fft.irfft2(np.fft.rfft2(random.randn(3, size, size)) / frequency**1.5, s=(size, size))
    mixed = np.tensordot([[1, 0.2, 0], [1, 0, 0.2], [1, -0.2, 0]], fields, 1)
    pixels = np.clip(127 + 50 * mixed / mixed.std(), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels.transpose(1, 2, 0))


def encoded(size: int, kind: str) -> list[bytes]:
    files = []
    for seed in range(DISTINCT):
        file = io.BytesIO()
        photograph(size, seed).save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
        files.append(file.getvalue())
    return files


def png_zip(root: Path, count: int) -> Source:
    """PNG files of 32 x 32 pixels in a ZIP, as small sets are shared."""
    files = encoded(32, "PNG")
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for i in range(count):
            archive.writestr(f"{i // 1000:05d}/{i:08d}.png", files[i % DISTINCT])
    return Archive("PNG in a ZIP", root / "images.zip", "")


def folder(root: Path, count: int, kind: str) -> Source:
    """Files of 256 x 256 pixels."""
    files = encoded(256, kind)
    path = root / kind
    path.mkdir()
    for i in range(count):
        (path / f"{i:08d}.{kind.lower()}").write_bytes(files[i % DISTINCT])
    return Folder(f"folder of {kind}", path, "")


def measure(work: Callable[[], object], count: int) -> str:
    """Cells of the table: images per second, milliseconds of CPU time per image."""
    before, start = os.times(), time.perf_counter()
    work()
    rate = count / (time.perf_counter() - start)
    cpu_s = sum(os.times()[:4]) - sum(before[:4])  # user and system, of this process and of those it waited for
    return f"{rate:.0f} | {1000 * cpu_s / count:.2f}"


def decode_all(source: Source) -> None:
    for index in range(len(source)):
        source.image(index).load()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs=2, type=int, default=[20000, 2000], help="of 32 and of 256 pixels")
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2])
    args = parser.parse_args(argv)
    small, large = args.images
    print("| images | pixels | number | work | images/s | CPU ms/image |")
    print("| --- | ---: | ---: | --- | ---: | ---: |")
    for make, size, count in (
        (lambda root: png_zip(root, small), 32, small),
        (lambda root: folder(root, large, "JPEG"), 256, large),
        (lambda root: folder(root, large, "PNG"), 256, large),
    ):
        with tempfile.TemporaryDirectory() as name:
            source, out = make(Path(name)), Path(name) / "out" / "images.npy"
            works: dict[str, Callable[[], object]] = {"decoding only": partial(decode_all, source)}
            works |= {f"--jobs {jobs}": partial(prepare, source, out, jobs=jobs) for jobs in args.jobs}
            for title, work in works.items():
                print(f"| {source.name} | {size} | {count} | {title} | {measure(work, count)} |", flush=True)


if __name__ == "__main__":
    main()
