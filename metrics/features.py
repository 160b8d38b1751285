"""Features of real images, once per data set and extractor, or of fakes from every snapshot of a run.

    python -m metrics.features --extractor efficientnet_lite0 --data elpv-32.npy --out elpv-32.safetensors
    python -m metrics.features --protocol proxy --run RUNDIR --n-fake 1000 --out features-proxy.json

The second writes one file per snapshot into the folder features-proxy and, last, the index named. What is
there already and was computed from the same things is kept, so that an interrupted command continues when
given again. Fakes go from the generator to the extractor in memory: averaged weights, no truncation,
rounded to 8 bits. Inception features of 50,000 images take 400 MB per snapshot.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from data.base import open_dataset
from data.subset import read_subset
from metrics.base import Features
from metrics.extractors import NAMES, Extractor, load_extractor
from metrics.protocols import read_protocol
from metrics.store import load_meta, parts_folder, save_features
from suite.errors import ConfigError
from suite.files import write_atomic
from training.run import pick_device
from training.samples import to_uint8
from training.snapshot import load_generator


class NotFinite(ValueError):
    """A generator gave images that are no numbers."""


def extract(extractor: Extractor, batches: Iterator[Tensor], count: int, title: str) -> Features:
    """Features, on the CPU, of `count` images that come in uint8 batches [n, 3, H, W]."""
    pooled, logits = [], []
    with tqdm(total=count, desc=title, unit="img", mininterval=1) as progress:
        for images in batches:
            features = extractor(images)
            pooled.append(features.pooled.float().cpu())
            if features.logits is not None:
                logits.append(features.logits.float().cpu())
            progress.update(len(images))
    return Features(torch.cat(pooled), torch.cat(logits) if logits else None)


def real_batches(images: np.ndarray, indices: list[int] | None, batch: int, device: torch.device) -> Iterator[Tensor]:
    """The images at `indices` (None: all), uint8, batch by batch from the memory map."""
    order = np.arange(len(images)) if indices is None else np.asarray(indices)
    for start in range(0, len(order), batch):
        yield torch.from_numpy(images[order[start : start + batch]]).to(device)


def fake_batches(
    G: nn.Module, count: int, labels: np.ndarray | None, batch: int, device: torch.device, seed: int
) -> Iterator[Tensor]:
    """`count` fakes as uint8 [n, 3, H, W]: latents and labels depend on `seed` and not on batch or device.

    `labels` int64 [N] is the training set's, from which the fakes' are drawn; None: unconditional.
    """
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(count, G.z_dim, generator=random)
    c = None
    if labels is not None:
        drawn = torch.randint(len(labels), (count,), generator=random)
        c = F.one_hot(torch.from_numpy(labels)[drawn], G.c_dim).float()
    torch.manual_seed(seed)  # the generator's own noise inputs
    for start in range(0, count, batch):
        part = slice(start, start + batch)
        with torch.inference_mode():
            x = G(z[part].to(device), None if c is None else c[part].to(device))
        if not x.isfinite().all():
            raise NotFinite("the generator's images are not finite")
        yield to_uint8(x)


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
    extractor: Extractor,
    data: Path,
    subset: Path | None,
    test: bool,
    out: Path,
    batch: int,
    device: torch.device,
) -> None:
    """Write the features of a reference set: all images of `data`, or the training images `subset`.

    `test` says that `data` is a held-out set. Reals are never mirrored.
    """
    dataset = open_dataset(data)
    chosen = None if subset is None else read_subset(subset, dataset)
    meta = {
        **extractor.identity(),
        "dataset": dataset.meta["name"],
        "dataset_sha256": dataset.meta["sha256"],
        "subset_digest": chosen and chosen["digest"],
        "reference": "train" if chosen else "test" if test else "full",
    }
    if up_to_date(out, meta):
        return
    indices = chosen and chosen["indices"]
    count = len(indices) if indices else dataset.meta["count"]
    batches = real_batches(dataset.images, indices, batch, device)
    features = extract(extractor, batches, count, f"{meta['dataset']}, {meta['reference']}")
    save_features(out, features, {**meta, "n_real": count})


def run_features(
    extractor: Extractor,
    run_dir: Path,
    n_fake: int,
    labels: np.ndarray | None,
    out: Path,
    batch: int,
    device: torch.device,
    seed: int = 0,
) -> None:
    """Write the features of `n_fake` fakes for every snapshot that the run's train.json lists, then `out`.

    `labels` int64 [N] are those of the training images, used by a conditional generator only.
    """
    result = json.loads((run_dir / "train.json").read_text())
    for snapshot in result["snapshots"]:
        path = parts_folder(out) / Path(snapshot["file"]).name
        meta = {
            **extractor.identity(),
            "run": result["run"],
            "kimg": snapshot["kimg"],
            "snapshot_sha256": snapshot["sha256"],
            "n_fake": n_fake,
            "seed": seed,
        }
        if up_to_date(path, meta):
            continue
        G = load_generator(run_dir / snapshot["file"], str(device))
        if G.c_dim and labels is None:
            raise ConfigError(f"{result['run']} is conditional: its labels need --data and --subset")
        title = f"{result['run']} at {snapshot['kimg']:g} kimg"
        start = time.perf_counter()
        try:
            size = getattr(G, "sampling_batch", None) or batch
            batches = fake_batches(G, n_fake, labels if G.c_dim else None, size, device, seed)
            features, reason = extract(extractor, batches, n_fake, title), None
        except NotFinite as error:
            features, reason = None, f"{error} at {snapshot['kimg']:g} kimg"
        seconds = round(time.perf_counter() - start, 1)
        save_features(path, features, {**meta, "reason": reason, "seconds": seconds})
    files = [Path(snapshot["file"]).name for snapshot in result["snapshots"]]
    write_atomic(out, json.dumps({"run": result["run"], "n_fake": n_fake, "files": files}) + "\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Extract features of real or generated images.")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--extractor", help=f"one of {', '.join(NAMES)}")
    network.add_argument("--protocol", help="a name in config/protocols.yaml: its extractor and fakes")
    parser.add_argument("--out", required=True, type=Path, help="*.safetensors for reals, *.json for fakes")
    parser.add_argument("--data", type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--subset", type=Path, help="the training images among them (*.json)")
    parser.add_argument("--test", action="store_true", help="--data is a held-out set")
    parser.add_argument("--run", type=Path, help="run directory: features of its fakes; --data for labels")
    parser.add_argument("--n-fake", type=int, help="generated images; default: the protocol's")
    parser.add_argument("--inception-weights", help="path to the 2015 Inception weights")
    parser.add_argument("--inception-sha256", help="digest to expect in place of the published one")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, at most the cores")
    parser.add_argument("--batch", type=int, default=32, help="images at once")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        protocol = args.protocol and read_protocol(args.protocol)
        device = pick_device(args.device)
        extractor = load_extractor(
            args.extractor or protocol.extractor,
            device,
            inception_weights=args.inception_weights or None,
            inception_sha256=args.inception_sha256,
        )
        if args.run is None:
            if args.data is None:
                raise ConfigError("give --data for features of reals or --run for features of fakes")
            reference_features(extractor, args.data, args.subset, args.test, args.out, args.batch, device)
            return
        labels = None
        if args.data is not None and args.subset is not None:
            dataset = open_dataset(args.data)
            if dataset.labels is not None:
                labels = dataset.labels[read_subset(args.subset, dataset)["indices"]]
        n_fake = args.n_fake or (protocol.fakes if protocol else 0)
        if n_fake < 1:
            raise ConfigError(f"{n_fake} fakes: give --n-fake or --protocol")
        run_features(extractor, args.run, n_fake, labels, args.out, args.batch, device)
    except (ConfigError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
