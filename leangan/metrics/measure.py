"""Measure a run under one protocol: features of the fakes of every snapshot, then the rows.

    leangan measure --protocol proxy --run-dir RUN --real R --data D.npy --subset U.json --out OUT.jsonl

This command does the work of `leangan features` and `leangan compute`. Under torchrun the ranks share the fakes.
Features are stored in RUN until the rows are written, so that an interrupted command, given again, continues at the
snapshot it had reached; then they are deleted to save disk space.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leangan.core.command_line import command_parser
from leangan.core.cuda_graph import use_graphs
from leangan.core.distributed import joined_ranks
from leangan.core.ranks import rank, world_size
from leangan.metrics.compute import metric_classes, write_rows
from leangan.metrics.features import add_options, features_of_fakes
from leangan.metrics.guard import check_arithmetic, check_real, read_run
from leangan.metrics.protocols import read_protocol
from leangan.metrics.store import load_meta, remove_features
from leangan.training.device import arithmetic, pick_device, set_up


def measure(args: argparse.Namespace) -> None:
    """Measure the run that the command line names. Every rank must call this.

    The ranks share the fakes, made and looked at in the arithmetic of the run's training; rank 0 writes the rows after
    the process group is closed.
    """
    protocol = read_protocol(args.protocol)
    index = args.run_dir / f"features-{protocol.name}.json"
    device = pick_device(args.device)
    spec, train = read_run(args.run_dir)
    set_up(device, args.threads, spec.tf32)
    use_graphs(args.cuda_graphs)
    with joined_ranks(device):
        first, ranks = rank() == 0, world_size()
        if train["status"] == "done":
            # The checks of `metrics.compute`, made here before hours are spent on fakes.
            metric_classes(protocol)
            real = load_meta(args.real)
            check_real(real, protocol, spec, train, args.real)
            check_arithmetic(real, arithmetic(device, spec.tf32, "none")["tf32"], args.real)
            features_of_fakes(args, protocol, index, device)
    if first:
        set_up(device, args.threads * ranks, tf32=False)  # the other ranks have ended; use their threads too
        write_rows(protocol, args.real, index, args.run_dir, args.data, args.subset, args.out, device)
        remove_features(index)


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "measure",
        "Measure a run under one protocol: features of the fakes of every snapshot, then the rows.",
        reads="A run directory with snapshots and train.json, features of the reals (leangan features), images and "
        "subset.",
        writes="--out: one row (JSON) per snapshot and metric; features in the run directory until these are written.",
    )
    parser.add_argument("--protocol", required=True, help="a name in config/protocols.yaml")
    parser.add_argument("--run-dir", required=True, type=Path, help="run directory, of a run that has ended")
    parser.add_argument("--real", required=True, type=Path, help="features of the reference set")
    parser.add_argument("--data", required=True, type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--subset", required=True, type=Path, help="the training images among them (*.json)")
    parser.add_argument("--out", required=True, type=Path, help="rows (*.jsonl)")
    add_options(parser)
    args = parser.parse_args(argv)
    measure(args)
