"""From features to rows: every metric of a protocol for every snapshot of a run.

    leangan compute --protocol proxy --real R --fake F --run-dir RUN --subset U.json --data D.npy --out OUT

The features are the output of `leangan features`; `leangan measure` makes features and rows in one command.
If the protocol looks for copies and --data is given, the picture of `leangan neighbours` is written next to the rows.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from leangan.core.command_line import command_parser
from leangan.core.schemas import parse
from leangan.metrics.base import Metric, Value
from leangan.metrics.contract import require
from leangan.metrics.families import (
    compared_with,
    is_of_training_images,
    is_sign_of_copying,
    metric_name,
    metric_of,
)
from leangan.metrics.guard import OF_ROW, check_fake, check_real, read_run, trained_images
from leangan.metrics.protocols import FILE, Protocol, check_protocol, read_protocol
from leangan.metrics.store import CPU, load_meta, load_reference, part_file
from leangan.metrics.values import against_reals, snapshot_values
from leangan.runs.row import Row
from leangan.runs.rows import identity, without_value, write
from leangan.training.device import add_device_options, pick_device, set_up


def metric_classes(protocol: Protocol) -> dict[str, type[Metric]]:
    """The classes behind the protocol's metrics, by the names of their files.

    Raises ConfigError for a metric that is unknown, that does not go with the protocol's extractor, that two files
    define, or whose file fails.
    """
    check_protocol(protocol)
    where = f"{FILE}, {protocol.name}"
    return {name: require("metric", name, where) for name in map(metric_of, protocol.metrics)}


def compute(
    protocol: Protocol,
    real_path: Path,
    fake_path: Path,
    run_dir: Path,
    subset: Path | None = None,
    device: torch.device = CPU,
) -> list[Row]:
    """The rows of a run, in order of snapshots and of the protocol's metrics.

    `real_path` and `fake_path` are what `metrics.features` wrote, `run_dir` holds spec.json and train.json,
    `subset` lists the training images, which only the metrics of memorisation need. `device` computes; a GPU must be
    set up without TF32, in which distances of neighbours drown. A run, snapshot or metric that gives no number has rows
    that say why.

    Raises ConfigError if spec.json and train.json belong to different runs, or if the features are not those of the
    run's images.
    """
    spec, train = read_run(run_dir)
    classes = metric_classes(protocol)
    if train["status"] != "done":
        return [without_value(spec, protocol.name, train["status"], train["reason"], train["provenance"])]
    real_meta = load_meta(real_path)
    check_real(real_meta, protocol, spec, train, real_path)
    real = replace(load_reference(real_path, device), trained=trained_images(real_meta, train, subset))
    metrics = {name: against_reals(metric, real) for name, metric in classes.items()}
    families = {family: metric_of(family) for family in protocol.metrics}

    n_trained = None if real.trained is None else len(real.trained)
    rows = []
    for snapshot in tqdm(train["snapshots"], desc=train["run"], unit="snapshot"):
        files = [part_file(fake_path, snapshot["file"], seed) for seed in range(protocol.eval_seeds)]
        metas = [load_meta(file) for file in files]
        for file, meta in zip(files, metas, strict=True):
            check_fake(meta, snapshot, real_meta, file)
        meta = metas[0]
        for family, outcome in snapshot_values(metrics, families, files, device).items():
            value = outcome if isinstance(outcome, Value) else None
            status, reason = ("done", None) if isinstance(outcome, Value) else outcome
            reference = compared_with(family, protocol.reference)
            n_real = n_trained if is_of_training_images(family) else reference and real_meta["n_real"]
            content = {
                **identity(spec, train["method_title"]),
                "kimg": snapshot["kimg"],
                "family": family,
                "metric": metric_name(family, meta["n_fake"], protocol.reference, protocol.extractor),
                "value": value and value.value,
                "spread": value and value.spread,
                "spread_over": value and value.over,
                "n_real": n_real,
                "n_fake": meta["n_fake"],
                "reference": reference,
                "proxy": protocol.proxy,
                "protocol": {
                    "name": protocol.name,
                    **{key: meta[key] for key in OF_ROW},
                    "statistics": meta["statistics"],
                    "eval_seeds": protocol.eval_seeds,
                },
                "provenance": train["provenance"],
                "status": status,
                "reason": reason,
                "source": "measured",
                "snapshot_sha256": snapshot["sha256"],
            }
            rows.append(parse(Row, content, f"the row of {snapshot['file']} under {family}"))
    return rows


def write_rows(
    protocol: Protocol,
    real: Path,
    fake: Path,
    run_dir: Path,
    data: Path | None,
    subset: Path | None,
    out: Path,
    device: torch.device,
) -> None:
    """Write the rows of a run, see `compute`, to `out`.

    If the protocol looks for copies, and `data` and `subset` are given, the picture of `metrics.neighbours` is
    written next to them. `device` computes the metrics, set up without TF32, and generates the fakes of the picture.
    Metrics without a value are named on stderr.
    """
    rows = compute(protocol, real, fake, run_dir, subset, device)
    has_fakes = rows[-1].family and rows[-1].status != "diverged"
    if data and subset and any(map(is_sign_of_copying, protocol.metrics)) and has_fakes:
        from leangan.metrics import neighbours  # which needs the networks: seconds of imports

        picture = neighbours.picture(protocol, real, fake, run_dir, data, subset, device)
        neighbours.save(picture, out.with_name(f"neighbours-{protocol.name}.png"))
    write(out, rows)
    lacking = dict.fromkeys((row.metric, row.status, row.reason) for row in rows if row.metric and row.value is None)
    for metric, status, reason in lacking:
        print(f"{metric} of {rows[0].run} has no value: {status}: {reason}", file=sys.stderr)
    if any(status == "error" for _, status, _ in lacking):
        print(
            f"after the fix, measure again: the same command, with --forcerun {out} if it skips this", file=sys.stderr
        )


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "compute",
        "Compute the metrics of one run from features.",
        reads="Features of reals and fakes (leangan features), spec.json and train.json of the run.",
        writes="--out: one row (JSON) per snapshot and metric. With --data and --subset also a picture of the "
        "nearest neighbours next to it, if the protocol looks for copies.",
    )
    parser.add_argument("--protocol", required=True, help="a name in config/protocols.yaml")
    parser.add_argument("--real", required=True, type=Path, help="features of the reference set")
    parser.add_argument("--fake", required=True, type=Path, help="features of the run's fakes")
    parser.add_argument("--run-dir", required=True, type=Path, help="run directory: spec.json and train.json")
    parser.add_argument("--subset", type=Path, help="the run's training images (*.json), for metrics of memorisation")
    parser.add_argument("--data", type=Path, help="prepared data set (*.npy): fakes are drawn beside training images")
    parser.add_argument("--out", required=True, type=Path, help="rows (*.jsonl)")
    add_device_options(parser)
    args = parser.parse_args(argv)
    protocol, device = read_protocol(args.protocol), pick_device(args.device)
    set_up(device, args.threads, tf32=False)
    write_rows(protocol, args.real, args.fake, args.run_dir, args.data, args.subset, args.out, device)
