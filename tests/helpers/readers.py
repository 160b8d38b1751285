"""Every reader of files that others wrote: how it is called, whole files to start from, and what must not happen.

A reader may end in a ConfigError only (DatasetError is one), and while it reads no process may start, no connection
open and no file be written.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.spec import SUBSET_DEFAULTS, RunSpec
from leangan.core.yaml_files import parse_leaves, parse_yaml, read
from leangan.data.image import MAX_PIXELS, decode, to_rgb
from leangan.data.readers._example import Example
from leangan.data.readers.archive import Archive
from leangan.data.readers.labels import parse_labels
from leangan.data.readers.tfrecord import TFRecords
from leangan.metrics.store import load_features
from leangan.released import convert
from leangan.results.collect import collect
from leangan.results.submitted import read_submissions
from leangan.results.table import flatten, read_results, to_csv
from leangan.runs import config, rows
from leangan.runs.methods import method_plugins
from leangan.runs.presets import preset_at
from leangan.runs.row import Row
from leangan.training.snapshot import load_generator

MAX_FILES = 16  # images of one archive that are decoded


@dataclass(frozen=True)
class Reader:
    """`read(path)` raises ConfigError or nothing; `seeds()` are whole files; `name` is what a file is called."""

    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    name: str


FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect")
_reading = False


def _audit(event: str, arguments: tuple) -> None:
    if not _reading:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.startswith(FORBIDDEN) or (writes and not str(arguments[0]).startswith("/dev/")):
        raise AssertionError(f"the reader did {event} {arguments}")


sys.addaudithook(_audit)


@contextmanager
def nothing_executed() -> Iterator[None]:
    """Within it, starting a process, connecting and writing a file are failures."""
    global _reading
    _reading = True
    try:
        yield
    finally:
        _reading = False


def try_reading(reader: Reader, content: bytes, folder: Path) -> str:
    """`read` or `refused`; any other end is an exception that fails the test."""
    path = folder / reader.name
    path.write_bytes(content)
    try:
        with nothing_executed():
            reader.read(path)
    except ConfigError as error:
        assert str(error)
        return "refused"
    return "read"


# Images


def read_image(path: Path) -> None:
    image, _ = to_rgb(decode(path, "image"), "image")
    assert image.mode == "RGB" and image.width * image.height <= MAX_PIXELS


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def image_seeds() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    sixteen = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        *(encoded(picture, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")),
        *(encoded(picture.convert(mode), "PNG") for mode in ("P", "LA", "RGBA", "1")),
        *(encoded(picture, "TIFF", compression=each) for each in ("raw", "tiff_lzw", "jpeg", "tiff_deflate")),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture, "JPEG", exif=exif.tobytes(), progressive=True),
        encoded(sixteen, "PNG"),
        encoded(sixteen, "TIFF"),
        encoded(picture, "GIF", save_all=True, append_images=[picture.transpose(Image.Transpose.ROTATE_180)]),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    ]


# ZIPs


def read_archive(path: Path) -> None:
    source = Archive("mine", path, "free")
    for index in range(min(len(source), MAX_FILES)):
        source.image(index)


def archive_seeds() -> list[bytes]:
    png = image_seeds()[0]
    labels = json.dumps({"labels": [["a.png", 0], ["b/c.png", 1]], "classes": ["x", "y"]})
    plain = {"a.png": png, "b/c.png": png}
    linked = zipfile.ZipInfo("a.png")
    linked.external_attr = 0o120777 << 16  # a symbolic link
    return [
        zipped(plain),
        zipped({**plain, "dataset.json": labels}, zipfile.ZIP_DEFLATED),
        zipped({"../a.png": png}),
        zipped({"/a.png": png}),
        zipped({linked: "/etc/passwd"}),
        zipped({"a.png": bytes(2**20)}, zipfile.ZIP_BZIP2),
    ]


def zipped(entries: dict[Any, Any], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


# Labels

FILES = [f"{i}.png" for i in range(4)]


def labels_seeds() -> list[bytes]:
    labels = [[file, i % 2] for i, file in enumerate(FILES)]
    contents = [{"labels": labels}, {"labels": labels, "classes": ["a", "b"]}, {"labels": None}]
    return [json.dumps(content).encode() for content in contents]


# TFRecords


def read_tfrecords(path: Path) -> None:
    source = TFRecords("mine", path, "free")
    for index in range(min(len(source), MAX_FILES)):
        source.image(index)


def record(content: bytes) -> bytes:
    """One record: its length and its content, each with the masked CRC that a reader expects."""
    parts = b""
    for part in (struct.pack("<Q", len(content)), content):
        crc = google_crc32c.value(part)
        parts += part + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
    return parts


def example(shape: list[int], data: bytes) -> bytes:
    message = Example()
    size, pixels = message.features.entries.add(key="shape"), message.features.entries.add(key="data")
    size.value.integers.value.extend(shape)
    pixels.value.bytes.value.append(data)
    return message.SerializeToString()


def tfrecord_seeds() -> list[bytes]:
    return [
        record(example([3, 4, 4], bytes(range(48)))) * 2,
        record(example([1, 2, 2], bytes(4))),
        record(example([3, 2**40, 1], bytes(4))),
        record(b""),
    ]


def read_record(path: Path) -> None:
    """The content of one record: with its checksums in order, which changed bytes would not have."""
    with writing_allowed():
        path.write_bytes(record(path.read_bytes()))
    read_tfrecords(path)


# Configuration


def read_config(path: Path) -> None:
    try:
        content = parse_yaml(path.read_bytes())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    config.check_config(parse_leaves({**read("config/config.yaml"), **content} if isinstance(content, dict) else {}))


def config_seeds() -> list[bytes]:
    written = (ROOT / "config/config.yaml").read_bytes()
    bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    own_set = "datasets: {mine: {path: a.zip, resolution: 32}}\nimages: [100, 1000]\nmethods: [none, ada]\n"
    return [written, own_set.encode(), bomb.encode(), b"a: &a [*a]\n", b"scale: 2001-99-99\n1: {2: 3}\n"]


# Rows


def row(**changes: Any) -> dict[str, Any]:
    """A row of the spec below."""
    protocol = {"extractor": "efficientnet_lite0", "extractor_sha256": "ab" * 32, "input_px": 96, "resize": "bicubic"}
    provenance = {"commit": "0" * 40, "dirty": False, "torch": "2.15", "device": "cpu", "seconds": 1.0}
    return {
        **rows.identity(SPEC, "Mine"),
        **{"kimg": 0.5, "family": "fd", "metric": "fd1k_full_efficientnet_lite0", "value": 31.5, "spread": None},
        **{"n_real": 2624},
        **{"n_fake": 1000, "reference": "full", "proxy": True, "status": "done", "reason": None, "source": "measured"},
        "protocol": {**protocol, "name": "proxy", "library": "torch-fidelity 0.4.0"},
        "provenance": {**provenance, "images_per_s": 9.5, "time_utc": "2026-01-02T03:04:05+00:00"},
        **changes,
    }


def read_rows(path: Path) -> None:
    """What is accepted goes through the table, and comes back as it was."""
    stays_as_it_is(collect([path]), path)


def stays_as_it_is(table: list[Row], path: Path) -> None:
    if not table:
        return
    with writing_allowed():
        path.with_suffix(".csv").write_bytes(to_csv(table).encode())
    assert list(map(_in_table, read_results(path.with_suffix(".csv")))) == list(map(_in_table, table))


def _in_table(row: Row) -> dict[str, Any]:
    """What a row states, as far as a table can: line ends are line feeds, an empty text is none."""
    content = flatten(row.model_dump())
    return {key: value.replace("\r", "\n") or None if isinstance(value, str) else value
            for key, value in content.items()}  # fmt: skip


@contextmanager
def writing_allowed() -> Iterator[None]:
    global _reading
    before, _reading = _reading, False
    try:
        yield
    finally:
        _reading = before


def rows_seeds() -> list[bytes]:
    failed = rows.without_value(SPEC, "proxy", "error", "it failed")
    lines = [json.dumps(row()), rows.line_of(failed)]
    return ["".join(line + "\n" for line in content).encode() for content in (lines[:1], lines)]


def read_submission(path: Path) -> None:
    """A bad file is a rejection in words; the others and the table stay whole."""
    accepted, rejections = read_submissions(path.parent)
    assert all(isinstance(text, str) and text for text in rejections)
    stays_as_it_is(accepted, path)
    if rejections:
        raise ConfigError(rejections[0])


def submission_seeds() -> list[bytes]:
    claim = {
        "submitted_by": "A. Author",
        "url": "https://example.org/a",
        "rows": [row(source="submitted", total_kimg=24.0)],
    }
    return [json.dumps(claim).encode()]


# Networks


def read_tf_or_port(path: Path) -> None:
    convert.read_network(path, "G", "stylegan2")


def read_state_dict(path: Path) -> None:
    convert.read_network(path, "G", "biggan")


def pickle_seeds() -> list[bytes]:
    from tests.helpers.released_files import draw, write_tf, write_torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "n.pkl")
        write_tf(path, [{"": {"a/b": draw(2)}}] * 3)
        tensorflow = path.read_bytes()
        write_torch(path, {name: {"a.b": draw(2)} for name in ("G", "D", "G_ema")})
        return [tensorflow, path.read_bytes(), b"cposix\nsystem\n(S'true'\ntR."]


def state_dict_seeds() -> list[bytes]:
    content = {
        "linear.weight": torch.ones(2, 2),
        "blocks.0.0.conv1.weight": torch.ones(2),
        "linear.u0": torch.ones(1, 2),
    }
    seeds = []
    for zipped_form in (True, False):
        file = io.BytesIO()
        torch.save(OrderedDict(content), file, _use_new_zipfile_serialization=zipped_form)
        seeds.append(file.getvalue())
    with zipfile.ZipFile(io.BytesIO(seeds[0])) as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    large = {name: bytes(2**24) if name.endswith("/data/0") else content for name, content in entries.items()}
    return [*seeds, zipped(large, zipfile.ZIP_DEFLATED)]


# Our own files

TINY = preset_at("tiny", 16, "fuzzing", {"batch": 8, "fmap_base": 32, "fmap_max": 8, "z_dim": 8, "w_dim": 8})
SPEC = RunSpec(
    dataset="procedural", resolution=16, images=24, subset_seed=0, **SUBSET_DEFAULTS, conditional=False,
    backbone=TINY.backbone, hyper=TINY.hyper, plugins=method_plugins("none"), seed=0, total_kimg=0.5,
    snapshot_kimg=0.5, tf32=False, parent=None, labels=TINY.labels("none", "Baseline"),
)  # fmt: skip


def snapshot_seeds() -> list[bytes]:
    from leangan.plugins.networks import build_networks
    from leangan.training.snapshot import save_generator

    class Kind:
        channels, classes, class_names = 3, 0, ()

    with tempfile.TemporaryDirectory() as folder:
        save_generator(Path(folder, "s"), build_networks(SPEC, 3, 0)[1], SPEC, Kind(), 8)
        return [Path(folder, "s").read_bytes(), save_safetensors({"a": torch.ones(2)}, {"leangan": "{}"})]


def features_seeds() -> list[bytes]:
    return [save_safetensors({"pooled": torch.ones(2, 3)}, {"meta": json.dumps({"n_real": 2})})]


READERS = {
    "image": Reader(read_image, image_seeds, "a.png"),
    "archive": Reader(read_archive, archive_seeds, "a.zip"),
    "labels": Reader(lambda path: parse_labels(path.read_bytes(), FILES, "labels"), labels_seeds, "dataset.json"),
    "tfrecords": Reader(read_tfrecords, tfrecord_seeds, "a-r02.tfrecords"),
    "record": Reader(read_record, lambda: [seed[12:-4] for seed in tfrecord_seeds()[1:3]], "b-r02.tfrecords"),
    "config": Reader(read_config, config_seeds, "config.yaml"),
    "rows": Reader(read_rows, rows_seeds, "proxy.jsonl"),
    "submission": Reader(read_submission, submission_seeds, "mine.json"),
    "pickle": Reader(read_tf_or_port, pickle_seeds, "network.pkl"),
    "state_dict": Reader(read_state_dict, state_dict_seeds, "network.pth"),
    "snapshot": Reader(lambda path: load_generator(path), snapshot_seeds, "000000.500.safetensors"),
    "features": Reader(lambda path: load_features(path), features_seeds, "features.safetensors"),
    "spec": Reader(RunSpec.read, lambda: [SPEC.to_json().encode()], "spec.json"),
}
