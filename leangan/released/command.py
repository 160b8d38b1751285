"""Turn a released network into a snapshot, or into a run whose metrics can be computed.

    leangan released FILE.pkl --preset cifar --resolution 32 --classes 10 --out snapshot.safetensors
    leangan released FILE.pkl --preset cifar --resolution 32 --classes 10 --method ada \
        --run-dir RUN --data cifar10-32.npy --subset cifar10-32-50000-s0.json

Nothing in the file is executed. The second form writes spec.json, snapshots/ and train.json, what `leangan measure`
reads of a run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import save
from torch import nn

from leangan.core import provenance
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import sha256, write_atomic
from leangan.core.spec import SUBSET_DEFAULTS, RunSpec, snapshot_name
from leangan.data.contracts import open_dataset
from leangan.data.subset import read_subset
from leangan.plugins.networks import build_networks
from leangan.plugins.revisions import revisions_of
from leangan.released.convert import load_released
from leangan.runs.methods import method_plugins, method_preset, title_of
from leangan.runs.presets import preset_at
from leangan.training.origin import origin_of
from leangan.training.run import summary
from leangan.training.snapshot import save_generator

DISCRIMINATOR_HEADER = "leangan-discriminator"


class ImageKind(NamedTuple):
    """What a snapshot's header says of the images."""

    channels: int
    classes: int
    class_names: Sequence[str] = ()


def make_spec(args: argparse.Namespace, dataset: str, images: int, subset_seed: int) -> RunSpec:
    """The run that the network stands for."""
    preset = preset_at(args.preset, args.resolution, "--preset", method_preset(args.method))
    kimg = preset.kimg if args.kimg is None else args.kimg
    plugins = method_plugins(args.method)
    title = f"{title_of(args.method, plugins)}, released network"
    return RunSpec(
        dataset=dataset,
        resolution=args.resolution,
        images=images,
        subset_seed=subset_seed,
        **SUBSET_DEFAULTS,
        conditional=args.classes > 0,
        backbone=preset.backbone,
        hyper=preset.hyper,
        plugins=plugins,
        revisions=revisions_of(preset.backbone, plugins),
        seed=0,
        total_kimg=kimg,
        snapshot_kimg=kimg,
        tf32=False,
        parent=None,
        labels=preset.labels(args.method, title),
    )


def build(spec: RunSpec, kind: ImageKind, path: Path, which: str) -> nn.Module:
    """The network `which` of the file at `path`."""
    _, G, D, _ = build_networks(spec, kind.channels, kind.classes)
    network = D if which == "D" else G
    load_released(network, path, which, spec)
    return network


def write_discriminator(path: Path, D: nn.Module, spec: RunSpec, kind: ImageKind) -> None:
    """Write D's parameters under a header of its own: a snapshot is a generator."""
    header = {"spec": json.loads(spec.to_json()), **kind._asdict()}
    tensors = {name: value.detach().contiguous() for name, value in D.state_dict().items()}
    write_atomic(path, save(tensors, {DISCRIMINATOR_HEADER: json.dumps(header)}))


def write_run(args: argparse.Namespace) -> None:
    """Write the run directory `args.run_dir`, train.json last."""
    dataset = open_dataset(args.data)
    subset = read_subset(args.subset, dataset)
    meta = dataset.meta
    if args.resolution != meta["resolution"]:
        raise ConfigError(f"--resolution {args.resolution}, but {args.data} holds {meta['resolution']}-pixel images")
    if args.classes not in (0, meta["classes"]):
        raise ConfigError(f"--classes {args.classes}, but {args.data} has {meta['classes']} (0: unconditional)")
    spec = make_spec(args, meta["name"], subset["size"], subset["seed"])
    kind = ImageKind(meta["channels"], args.classes, meta["class_names"] if args.classes else ())
    G = build(spec, kind, args.file, args.which)
    nimg = spec.snapshot_nimgs()[-1]
    name = f"snapshots/{snapshot_name(nimg)}.safetensors"
    origin = origin_of(spec, dataset, subset, None, {"tf32": False, "half_type": spec.hyper.get("half_type", "none")})
    save_generator(args.run_dir / name, G, spec, kind, nimg, origin)
    write_atomic(args.run_dir / "spec.json", spec.to_json() + "\n")
    train = {
        "run": spec.run_id,
        "digest": spec.digest,
        "status": "done",
        "reason": None,
        "nimg": nimg,
        "method_title": spec.labels.title,
        "origin": origin,
        "snapshots": [{"nimg": nimg, "kimg": nimg / 1000, "file": name, "sha256": sha256(args.run_dir / name)}],
        "released": {"file": args.file.name, "sha256": sha256(args.file), "network": args.which},
        "provenance": {**provenance.record("cpu"), "seconds": 0.0, "images_per_s": 0.0, **summary(spec, origin)},
    }
    write_atomic(args.run_dir / "train.json", json.dumps(train, indent=1) + "\n")


def write_snapshot(args: argparse.Namespace) -> None:
    """Write the network as the one file `args.out`."""
    spec, kind = make_spec(args, "released", 0, 0), ImageKind(args.channels, args.classes)
    network = build(spec, kind, args.file, args.which)
    if args.which == "D":
        write_discriminator(args.out, network, spec, kind)
    else:
        save_generator(args.out, network, spec, kind, spec.snapshot_nimgs()[-1])


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser(
        "released",
        "Turn a network that a paper's authors released into a snapshot, or into a run to be measured.",
        reads="A released file, *.pkl or *.pth. Nothing in it is executed.",
        writes="--out: a snapshot. --run-dir: spec.json, snapshots/ and train.json, as of a run that has ended.",
    )
    parser.add_argument("file", type=Path, help="released network: *.pkl or *.pth")
    parser.add_argument("--preset", required=True, help="the network's architecture, a name in config/presets.yaml")
    parser.add_argument("--resolution", required=True, type=int, help="side of its images in pixels")
    parser.add_argument("--classes", required=True, type=int, help="classes it was trained with; 0: unconditional")
    parser.add_argument("--channels", type=int, default=3, help="image channels")
    parser.add_argument("--which", choices=["G_ema", "G", "D"], default="G_ema", help="the network of the file")
    parser.add_argument("--method", default="none", help="the method it was trained with, for the run's name")
    parser.add_argument("--kimg", type=float, help="thousands of images it was trained on; default: the preset's")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="snapshot to write (*.safetensors)")
    target.add_argument("--run-dir", type=Path, help="run directory to write; needs --data and --subset")
    parser.add_argument("--data", type=Path, help="prepared data set it was trained on (*.npy)")
    parser.add_argument("--subset", type=Path, help="the training images among them (*.json)")
    args = parser.parse_args(argv)
    if args.run_dir is not None and (args.data is None or args.subset is None or args.which == "D"):
        parser.error("--run-dir needs --data, --subset and a generator")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    try:
        if args.run_dir is not None:
            write_run(args)
        else:
            write_snapshot(args)
    except ValueError as error:
        raise ConfigError(str(error)) from error
