"""Features of real images, once per data set and extractor, or of fakes from every snapshot of a run.

    leangan features --extractor efficientnet_lite0 --data elpv-32.npy --out elpv-32.safetensors
    leangan features --protocol proxy --run-dir RUN --n-fake 1000 --out features-proxy.json

The second writes one file per snapshot and evaluation seed into the folder features-proxy and, last, the index named.
What is there already and was computed from the same things is kept, so that an interrupted command continues when given
again. Fakes go from the generator to the extractor on the device; on several, started by `torchrun --nproc-per-node N
-m leangan features`, each makes its share. Inception features of 50,000 images take 400 MB per snapshot.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leangan.core.command_line import command_parser
from leangan.core.cuda_graph import use_graphs
from leangan.core.distributed import joined_ranks, on_any_rank
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.ranks import rank
from leangan.data.contracts import open_dataset
from leangan.data.subset import read_subset
from leangan.metrics.extraction import default_batch, fake_features, real_features
from leangan.metrics.fakes import BLOCK, Fakes
from leangan.metrics.guard import check_snapshot, check_subset, read_run
from leangan.metrics.loading import LoadedExtractor, load_extractor
from leangan.metrics.protocols import Protocol, read_protocol
from leangan.metrics.store import load_meta, part_file, save_features
from leangan.plugins import registry
from leangan.training.device import add_device_options, pick_device, set_up
from leangan.training.snapshot import load_generator


def up_to_date(path: Path, meta: dict[str, Any]) -> bool:
    """Whether `path` holds features of exactly what `meta` describes."""
    if not path.is_file():
        return False
    try:
        stored = load_meta(path)
    except ConfigError:  # cut off or foreign: computed again
        return False
    return {key: stored.get(key) for key in meta} == meta


def reference_features(
    extractor: LoadedExtractor,
    data: Path,
    subset: Path | None,
    test: bool,
    out: Path,
    batch: int | None,
    device: torch.device,
) -> None:
    """Write the features of a reference set: all images of `data`, or the training images `subset`.

    `test` says that `data` is a test split. `batch`: images that the extractor sees at once; None: `default_batch`.
    Reals are never mirrored.
    """
    dataset = open_dataset(data)
    chosen = None if subset is None else read_subset(subset, dataset)
    meta = {
        **extractor.identity(),
        "dataset": dataset.meta["name"],
        "resolution": dataset.meta["resolution"],
        "dataset_sha256": dataset.meta["sha256"],
        "subset_digest": chosen and chosen["digest"],
        "reference": "train" if chosen else "test" if test else "full",
    }
    if not on_any_rank(not up_to_date(out, meta))[0]:
        return
    indices = chosen["indices"] if chosen else None
    count = len(indices) if indices else dataset.meta["count"]
    batch = batch or default_batch(extractor, meta["resolution"], device)
    title = f"{meta['dataset']}, {meta['reference']}"
    features = real_features(extractor, dataset.images, indices, batch, device, title)
    if rank() == 0:
        save_features(out, features, {**meta, "n_real": count})


def check_statistics(statistics: str | None, protocol: Protocol | None, run: str) -> None:
    """Raise ConfigError where the norms of a run's generator do not use what the protocol says."""
    if protocol and protocol.statistics and statistics and statistics != protocol.statistics:
        raise ConfigError(
            f"protocol {protocol.name} measures generators with {protocol.statistics} statistics, those of {run} use"
            f" {statistics} ones; change eval_statistics in config/presets.yaml or statistics in config/protocols.yaml"
        )


def run_features(
    extractor: LoadedExtractor,
    run_dir: Path,
    n_fake: int,
    labels: np.ndarray | None,
    out: Path,
    batch: int | None,
    device: torch.device,
    protocol: Protocol | None = None,
) -> None:
    """Write the features of `n_fake` fakes for every snapshot that the run's train.json lists, then `out`.

    `labels` int64 [N] are those of the training images, used by a conditional generator only. `protocol` says with
    how many evaluation seeds, default one. `batch` is as for `reference_features`. Raises ConfigError if a snapshot is
    not the one that training wrote.
    """
    spec, result = read_run(run_dir)
    batch = batch or default_batch(extractor, spec.resolution, device)
    for snapshot in result["snapshots"]:
        check_snapshot(run_dir, snapshot, result)
    seeds = range(protocol.eval_seeds if protocol else 1)
    files = []
    for snapshot, seed in itertools.product(result["snapshots"], seeds):
        path = part_file(out, snapshot["file"], seed)
        files.append(path.name)
        meta = {
            **extractor.identity(),
            "run": result["run"],
            "kimg": snapshot["kimg"],
            "snapshot_sha256": snapshot["sha256"],
            "n_fake": n_fake,
            "seed": seed,
            "block": BLOCK,
        }
        if not on_any_rank(not up_to_date(path, meta))[0]:
            continue
        G = load_generator(run_dir / snapshot["file"], str(device))
        if G.c_dim and labels is None:
            raise ConfigError(f"{result['run']} is conditional: its labels need --data and --subset")
        statistics = G.eval_statistics
        check_statistics(statistics, protocol, result["run"])
        title = f"{result['run']} at {snapshot['kimg']:g} kimg"
        start = time.perf_counter()
        fakes = Fakes(G, n_fake, labels if G.c_dim else None, seed, device)
        features = fake_features(extractor, fakes, batch, title if seed == 0 else f"{title}, seed {seed}")
        reason = None if features else f"the generator's images are not finite at {snapshot['kimg']:g} kimg"
        seconds = round(time.perf_counter() - start, 1)
        if rank() == 0:
            save_features(path, features, {**meta, "statistics": statistics, "reason": reason, "seconds": seconds})
    if rank() == 0:
        write_atomic(out, json.dumps({"run": result["run"], "n_fake": n_fake, "files": files}) + "\n")


def labels_of_training_images(data: Path | None, subset: Path | None, train: dict[str, Any]) -> np.ndarray | None:
    """The labels int64 [N] of the images that a run was trained on; `train` is its train.json.

    None if the images have no labels, or if `data` or `subset` is None. Raises ConfigError if `subset` lists other
    images.
    """
    if data is None or subset is None:
        return None
    dataset = open_dataset(data)
    chosen = read_subset(subset, dataset)
    check_subset(chosen, train, subset)
    return None if dataset.labels is None else dataset.labels[chosen["indices"]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that commands for features of fakes share: number of fakes, network, device, threads, batch."""
    parser.add_argument("--n-fake", type=int, help="generated images; default: the protocol's")
    parser.add_argument("--inception-weights", help="path to the 2015 Inception weights")
    parser.add_argument("--inception-sha256", help="digest to expect in place of the published one")
    add_device_options(parser)
    parser.add_argument(
        "--batch", type=int, help="images the extractor sees at once; default 32, on a GPU 256 to 2048 by their size"
    )


def extractor_of(
    args: argparse.Namespace, protocol: Protocol | None, device: torch.device, tf32: bool
) -> LoadedExtractor:
    """The extractor on `device`, from the options of a command line, for a process set up with `tf32`."""
    return load_extractor(
        protocol.extractor if protocol else args.extractor,
        device,
        inception_weights=args.inception_weights or None,
        inception_sha256=args.inception_sha256,
        tf32=tf32,
    )


def features_of_fakes(args: argparse.Namespace, protocol: Protocol | None, out: Path, device: torch.device) -> None:
    """Write the features of a run's fakes and their index `out`, by the options of a command line.

    The process must be set up with the `tf32` of the run's spec.
    """
    n_fake = args.n_fake or (protocol.fakes if protocol else 0)
    if n_fake < 1:
        raise ConfigError(f"{n_fake} fakes: give --n-fake or --protocol")
    spec, train = read_run(args.run_dir)
    labels = labels_of_training_images(args.data, args.subset, train)
    extractor = extractor_of(args, protocol, device, spec.tf32)
    run_features(extractor, args.run_dir, n_fake, labels, out, args.batch, device, protocol)


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "features",
        "Extract features of real images, or of the fakes of a run.",
        reads="Reals: --data and, for a part of them, --subset. Fakes: the snapshots in --run-dir.",
        writes="Reals: --out (*.safetensors). Fakes: one file per snapshot and evaluation seed in the folder of the "
        "name of --out, then the index --out (*.json).",
    )
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--extractor", help=f"one of {', '.join(registry.names('extractor'))}")
    network.add_argument("--protocol", help="a name in config/protocols.yaml: its extractor and fakes")
    parser.add_argument("--out", required=True, type=Path, help="*.safetensors for reals, *.json for fakes")
    parser.add_argument("--data", type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--subset", type=Path, help="the training images among them (*.json)")
    parser.add_argument("--test", action="store_true", help="--data is a test split")
    parser.add_argument("--tf32", action="store_true", help="reals for runs with TF32; fakes take it from spec.json")
    parser.add_argument("--run-dir", type=Path, help="run directory: features of its fakes; --data for labels")
    add_options(parser)
    args = parser.parse_args(argv)
    protocol = read_protocol(args.protocol) if args.protocol else None
    if args.run_dir is None and args.data is None:
        raise ConfigError("give --data for features of reals or --run-dir for features of fakes")
    if args.run_dir is not None and args.tf32:
        raise ConfigError("--tf32 is for features of reals; those of a run's fakes follow its spec.json")
    device = pick_device(args.device)
    tf32 = args.tf32 if args.run_dir is None else read_run(args.run_dir)[0].tf32
    set_up(device, args.threads, tf32)
    use_graphs(args.cuda_graphs)
    with joined_ranks(device):
        if args.run_dir is not None:
            features_of_fakes(args, protocol, args.out, device)
        else:
            extractor = extractor_of(args, protocol, device, tf32)
            reference_features(extractor, args.data, args.subset, args.test, args.out, args.batch, device)
