"""Train one run.

    leangan train --spec SPEC.json --data DATA.npy --subset SUBSET.json --run-dir RUN

The workflow names the run by its id instead: `--run-id ID --config '{"scale": "demo"}'`.

On several GPUs: `torchrun --nproc-per-node N -m leangan train` with the same options; the batch stays the preset's.
To continue an interrupted run, give the same command again. It ends with `train.json` in the run directory: how it
ended, its snapshots with their digests, and where the numbers come from.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from leangan.augment.transfer import last_checkpoint
from leangan.core import provenance
from leangan.core.command_line import command_parser
from leangan.core.distributed import joined_ranks, on_any_rank
from leangan.core.errors import ConfigError
from leangan.core.files import sha256, write_atomic
from leangan.core.kernels import use_fused
from leangan.core.ranks import rank, world_size
from leangan.core.spec import RunSpec, snapshot_name
from leangan.data.contracts import Dataset, open_dataset
from leangan.data.outline import described, why_unconditional
from leangan.data.subset import read_subset
from leangan.plugins import registry
from leangan.plugins.check import HookError
from leangan.plugins.fault import is_plugin_fault
from leangan.plugins.revisions import in_words, other_revisions
from leangan.runs.cells import Runs
from leangan.runs.config import add_config_option, load_config
from leangan.training.device import add_device_options, arithmetic, pick_device, set_up
from leangan.training.loop import TrainResult, train
from leangan.training.origin import Origin, origin_of
from leangan.training.reals import Reals
from leangan.training.sampler import step_seed
from leangan.training.trainer import NotApplicable

logger = logging.getLogger("training")

TERMINATED = 128 + signal.SIGTERM

TRY_SECONDS = 2.0  # how long rank 0 tries for a lock before all ranks agree to go on trying


def find_run(run_id: str, config: str) -> RunSpec:
    """The spec of a run under the configuration with the keys in `config`, a text; ConfigError where it has none."""
    return Runs(load_config(config)).find(run_id)


def read_run(path: Path) -> RunSpec:
    """The spec in a file; ConfigError where it holds none, or that of a run which the present code does not train."""
    spec = RunSpec.read(path)
    if others := other_revisions(spec):
        raise ConfigError(
            f"{path} is of {in_words(others)}: this code would train another run under the id {spec.run_id}. Check out "
            "the commit that wrote the file, or name the present run by --run-id."
        )
    return spec


def open_images(spec: RunSpec, data_path: Path, subset_path: Path) -> tuple[Dataset, dict[str, Any]]:
    """The prepared data set and the choice of its images that the run trains on; ConfigError where they do not fit."""
    dataset = open_dataset(data_path)
    subset = read_subset(subset_path, dataset)
    resolution = dataset.meta["resolution"]
    if resolution != spec.resolution:
        raise ConfigError(f"{data_path} holds {resolution}-pixel images; the spec asks for {spec.resolution}.")
    if subset["size"] != spec.images:
        raise ConfigError(f"{subset_path} lists {subset['size']} images; the spec asks for {spec.images}.")
    if spec.conditional and (reason := why_unconditional(spec.dataset, described(dataset.meta))):
        raise ConfigError(f"{spec.run_id}: {reason}. Say conditional: false in the artefact or the configuration.")
    return dataset, subset


def load_reals(spec: RunSpec, dataset: Dataset, subset: dict[str, Any], device: torch.device) -> Reals:
    """The run's training and validation images on `device`."""
    return Reals(
        dataset.images,
        dataset.labels if spec.conditional else None,
        dataset.meta["classes"],
        subset["indices"],
        subset["validation"],
        spec.hyper["mirror"],
        step_seed("data", spec.seed),
        device,
        class_names=dataset.meta["class_names"],
    )


def write_result(run_dir: Path, spec: RunSpec, outcome: TrainResult) -> None:
    """Write train.json, the last file of a run."""
    snapshots = []
    for nimg in spec.snapshot_nimgs() if outcome.status == "done" else []:
        path = run_dir / "snapshots" / f"{snapshot_name(nimg)}.safetensors"
        if not path.exists():
            raise ConfigError(
                f"{path} is missing: delete {run_dir / 'ckpt'} and run the same command to train it again."
            )
        snapshots.append({"nimg": nimg, "kimg": nimg / 1000, "file": f"snapshots/{path.name}", "sha256": sha256(path)})
    rate = outcome.cur_nimg / max(outcome.seconds, 1e-9)
    result = {
        "run": spec.run_id,
        "digest": spec.digest,
        "status": outcome.status,
        "reason": outcome.reason,
        "nimg": outcome.cur_nimg,
        "method_title": outcome.method_title,
        "origin": outcome.origin,
        "snapshots": snapshots,
        "provenance": {
            **(outcome.provenance or {}),
            "seconds": round(outcome.seconds, 1),
            "images_per_s": round(rate, 1),
            **summary(spec, outcome.origin),
        },
    }
    write_atomic(run_dir / "train.json", json.dumps(result, indent=1) + "\n")


def summary(spec: RunSpec, origin: Origin | None) -> dict[str, Any]:
    """What rows say of a run's origin; nothing for a run that ended before it was known."""
    if not origin:
        return {}
    methods = [
        {"name": name, "code_sha256": origin["methods"][name], "home": origin["homes"][name]}
        for name, _ in spec.plugins
    ]
    keys = ("dataset_sha256", "class_labels_sha256", "subset_digest", "parent_sha256")
    digests = {key: origin[key] for key in keys}
    return {**origin["arithmetic"], **digests, "methods": methods}


def keep(run_dir: Path, folder: Path) -> None:
    """Copy the training log and the pictures of a run into `folder`, where they stay with its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    log, samples = run_dir / "train.jsonl", folder / "samples"
    write_atomic(folder / "train.jsonl", log.read_bytes() if log.exists() else b"")
    shutil.rmtree(samples, ignore_errors=True)
    if (run_dir / "samples").exists():
        shutil.copytree(run_dir / "samples", samples)
    samples.mkdir(exist_ok=True)


@contextmanager
def lock(run_dir: Path, stop: Callable[[], bool]) -> Iterator[bool]:
    """Be the run directory's only writer, by the operating system's file lock, which ends with its owner.

    A workflow engine that is killed leaves its training job alive. The next start then waits for that job, and
    finds its work done. Yields False where `stop()` ended the wait.

    Every rank must call this; rank 0 holds the lock. It tries for TRY_SECONDS at a time and the ranks agree in between,
    for the owner may train for days, and no collective operation waits that long.
    """
    guard = FileLock(run_dir / ".lock")
    held = stopped = False
    seconds = 0.0
    try:
        while not (held or stopped):
            if rank() == 0:
                run_dir.mkdir(parents=True, exist_ok=True)
                try:
                    guard.acquire(timeout=seconds)
                    write_atomic(run_dir / ".owner", f"{os.getpid()}")
                except Timeout:
                    if not seconds:
                        owner = (run_dir / ".owner").read_text() if (run_dir / ".owner").exists() else "unknown"
                        logger.warning("%s is being trained by process %s; waiting for it to end", run_dir, owner)
                    seconds = TRY_SECONDS
            held, stopped = on_any_rank(guard.is_locked, stop())
        yield held
    finally:
        guard.release()


def main(argv: list[str] | None = None) -> int:
    parser = command_parser(
        "train",
        "Train one run, or continue it from its newest checkpoint.",
        reads="--spec or --run-id: what to train. --data and --subset: prepared images and the choice of those to "
        "train on. --parent-run: the run to start from, if the spec has a parent.",
        writes="In --run-dir: spec.json, ckpt/, snapshots/, samples/, train.jsonl and, last, train.json, which says "
        "how the run ended. In --keep: copies of the log and the pictures.",
        exit_codes={
            "0": "the run has ended; train.json says how",
            "143": "stopped by SIGTERM after a checkpoint; the same command continues",
        },
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--spec", type=Path, help="the run's spec.json")
    what.add_argument("--run-id", metavar="ID", help="the id of a run that an artefact has under --config")
    add_config_option(parser)
    parser.add_argument("--data", type=Path, required=True, help="prepared images, .npy with a .json beside it")
    parser.add_argument("--subset", type=Path, required=True, help="index list made by leangan subset")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder of the run, made if it is missing")
    parser.add_argument("--parent-run", type=Path, metavar="DIR", help="directory of the run that this one starts from")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where log and pictures are copied to in the end")
    add_device_options(parser)
    parser.add_argument("--tick-kimg", type=float, default=1.0, help="thousands of images between two log lines")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, help="least time between two checkpoints")
    parser.add_argument(
        "--cuda-graphs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="on a GPU, run each step as a CUDA graph where the method allows it: faster, the same up to rounding",
    )
    parser.add_argument(
        "--fused-kernels",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="on a GPU, run StyleGAN2's filters and the ends of its layers by Triton kernels",
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    terminated = False

    def on_sigterm(*_: object) -> None:
        nonlocal terminated
        terminated = True

    signal.signal(signal.SIGTERM, on_sigterm)
    spec = read_run(args.spec) if args.spec else find_run(args.run_id, args.config)
    device = pick_device(args.device)
    set_up(device, args.threads, spec.tf32)
    use_fused(args.fused_kernels)
    used = arithmetic(device, spec.tf32, spec.hyper.get("half_type", "none"))
    with joined_ranks(device), lock(args.run_dir, lambda: terminated) as held:
        if rank() > 0:
            logging.disable(logging.ERROR)
        if not held:
            logger.warning("%s stopped before its turn came; the same command continues it", spec.run_id)
            return TERMINATED
        if rank() == 0:
            write_atomic(args.run_dir / "spec.json", spec.to_json() + "\n")
        dataset, subset = open_images(spec, args.data, args.subset)
        data = load_reals(spec, dataset, subset, device)
        record = provenance.record(str(device), world_size())
        logger.info("%s on %s: tf32 %s, half_type %s", spec.run_id, record["device"], used["tf32"], used["half_type"])
        origin: Origin | None = None
        try:
            parent = last_checkpoint(args.parent_run, spec.parent.run_id) if spec.parent else None
            origin = origin_of(spec, dataset, subset, parent, used)
            outcome = train(
                spec,
                data,
                args.run_dir,
                device,
                args.tick_kimg,
                args.checkpoint_seconds,
                lambda: terminated,
                origin,
                record,
                args.parent_run,
                args.cuda_graphs,
            )
        except NotApplicable as error:
            outcome = TrainResult("skip", str(error), 0, 0.0, spec.method, origin, record)
        except Exception as error:
            if not is_plugin_fault(error):
                raise
            # A fault of a method or backbone: the other runs and the tables go on, this one says why it has no number.
            traceback.print_exc()
            reason = str(error) if isinstance(error, HookError) else registry.explain(error)
            outcome = TrainResult("error", reason, 0, 0.0, spec.method, origin, record)
        if outcome.status == "interrupted":
            logger.warning("%s stopped at %g kimg; the same command continues it", spec.run_id, outcome.cur_nimg / 1000)
            return TERMINATED
        if outcome.status != "done":
            logger.error("%s: %s: %s", spec.run_id, outcome.status, outcome.reason)
            again = args.run_dir / "train.json"
            logger.error("after the fix, run the same command again; if it skips this run, add --forcerun %s", again)
        if rank() == 0:
            if args.keep:
                keep(args.run_dir, args.keep)
            write_result(args.run_dir, spec, outcome)
    return 0
