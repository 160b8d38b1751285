"""From features to rows: every metric of a protocol for every snapshot of a run.

python -m metrics.compute --protocol proxy --real R --fake F --run RUN --out rows.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from metrics.base import NO_REFERENCE, Metric, metric_name
from metrics.fid import FrechetDistance
from metrics.inception_score import InceptionScore
from metrics.kid import KernelDistance
from metrics.precision_recall import PrecisionRecall
from metrics.protocols import FILE, Protocol, read_protocol
from metrics.store import load_features, load_meta, parts_folder
from suite.errors import ConfigError, unknown_name
from suite.rows import identity, without_value, write
from suite.spec import RunSpec

METRICS: tuple[type[Metric], ...] = (FrechetDistance, KernelDistance, InceptionScore, PrecisionRecall)

SAME = ("extractor", "extractor_sha256", "input_px", "resize", "library")
"""What features must share to be compared, and what a row says of its protocol."""


def metric_classes(protocol: Protocol) -> list[type[Metric]]:
    """The classes behind the protocol's metrics; ConfigError with the nearest name for an unknown one."""
    known = sorted(name for metric in METRICS for name in metric.names)
    for name in protocol.metrics:
        if name not in known:
            raise unknown_name("metric", name, known, f"{FILE}, {protocol.name}")
    return [metric for metric in METRICS if metric.names & set(protocol.metrics)]


def check_real(real: dict[str, Any], protocol: Protocol, train: dict[str, Any], path: Path) -> None:
    """Raise ConfigError unless the reference features belong to the protocol and the run."""
    for key in ("extractor", "reference"):
        if real[key] != getattr(protocol, key):
            raise ConfigError(
                f"{path}: {key} {real[key]!r}, but protocol {protocol.name} has {getattr(protocol, key)!r}"
            )
    if real["reference"] != "test" and real["dataset_sha256"] != train["dataset_sha256"]:
        raise ConfigError(f"{path}: features of other data than {train['run']} was trained on")
    if real["reference"] == "train" and real["subset_digest"] != train["subset_digest"]:
        raise ConfigError(f"{path}: features of other training images than those of {train['run']}")


def compute(protocol: Protocol, real_path: Path, fake_path: Path, run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run, in order of snapshots and of the protocol's metrics.

    `real_path` and `fake_path` are what metrics.features wrote, `run_dir` holds spec.json and train.json.
    A run or snapshot that gives no number has rows that say why.
    """
    spec = RunSpec.from_json((run_dir / "spec.json").read_text())
    train = json.loads((run_dir / "train.json").read_text())
    classes = metric_classes(protocol)
    if train["status"] != "done":
        return [without_value(spec, protocol.name, train["status"], train["reason"], train["provenance"])]
    real_meta = load_meta(real_path)
    check_real(real_meta, protocol, train, real_path)
    real = load_features(real_path)
    metrics = []
    for metric in classes:
        if len(real) < metric.minimum:
            raise ConfigError(f"{real_path}: {len(real)} images; {metric.__name__} needs {metric.minimum}")
        metrics.append(metric(real))

    rows = []
    for snapshot in tqdm(train["snapshots"], desc=train["run"], unit="snapshot"):
        part = parts_folder(fake_path) / Path(snapshot["file"]).name
        meta = load_meta(part)
        if meta["snapshot_sha256"] != snapshot["sha256"] or any(meta[key] != real_meta[key] for key in SAME):
            raise ConfigError(f"{part}: another snapshot or extractor; run `python -m metrics.features`")
        fake = load_features(part)
        values = {}
        if fake is not None:
            for metric in metrics:
                if len(fake) < metric.minimum:
                    raise ConfigError(
                        f"{part}: {len(fake)} fakes; {type(metric).__name__} needs {metric.minimum}"
                        " (fakes in config/scales.yaml)"
                    )
                values |= metric(fake)
        for family in protocol.metrics:
            value = values.get(family)
            rows.append(
                {
                    **identity(spec, train["method_title"]),
                    "kimg": snapshot["kimg"],
                    "metric": metric_name(family, meta["n_fake"], protocol.reference, protocol.extractor),
                    "value": value and value.value,
                    "spread": value and value.spread,
                    "n_real": None if family in NO_REFERENCE else real_meta["n_real"],
                    "n_fake": meta["n_fake"],
                    "reference": None if family in NO_REFERENCE else protocol.reference,
                    "proxy": protocol.proxy,
                    "protocol": {"name": protocol.name, **{key: meta[key] for key in SAME}},
                    "provenance": train["provenance"],
                    "status": "done" if value else "diverged",
                    "reason": meta["reason"],
                    "source": "measured",
                }
            )
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compute the metrics of one run.")
    parser.add_argument("--protocol", required=True, help="a name in config/protocols.yaml")
    parser.add_argument("--real", required=True, type=Path, help="features of the reference set")
    parser.add_argument("--fake", required=True, type=Path, help="features of the run's fakes")
    parser.add_argument("--run", required=True, type=Path, help="run directory: spec.json and train.json")
    parser.add_argument("--out", required=True, type=Path, help="rows (*.jsonl)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, at most the cores")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        write(args.out, compute(read_protocol(args.protocol), args.real, args.fake, args.run))
    except (ConfigError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
