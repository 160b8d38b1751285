"""Train one run: `python -m training.run --spec S --data D.npy --subset U.json --run-dir R`.

On several GPUs: `torchrun --nproc-per-node N -m training.run` with the same options; the batch stays the preset's.
To continue an interrupted run, give the same command again. It ends with `train.json` in the run directory: how it
ended, its snapshots with their digests, and where the numbers come from.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from augment.check import HookError
from data.base import open_dataset
from data.subset import read_subset
from models.ranks import rank, world_size
from suite import provenance, registry
from suite.errors import ConfigError, one_line
from suite.files import sha256, write_atomic
from suite.spec import RunSpec, snapshot_name
from training.distributed import LostRank, joined_ranks, on_any_rank
from training.loop import Outcome, train
from training.memory import as_memory_error
from training.reals import Reals
from training.sampler import step_seed
from training.trial import of_the_method

logger = logging.getLogger("training")

TERMINATED = 128 + signal.SIGTERM


def load_reals(spec: RunSpec, data_path: Path, subset_path: Path, device: torch.device) -> tuple[Reals, dict]:
    """The run's training and validation images on `device`, and the digests that identify them."""
    dataset = open_dataset(data_path)
    subset = read_subset(subset_path, dataset)
    resolution, classes = dataset.meta["resolution"], dataset.meta["classes"]
    if resolution != spec.resolution:
        raise ConfigError(f"{data_path} holds {resolution}-pixel images; the spec asks for {spec.resolution}.")
    if subset["size"] != spec.images:
        raise ConfigError(f"{subset_path} lists {subset['size']} images; the spec asks for {spec.images}.")
    if spec.conditional and not classes:
        raise ConfigError(f"{spec.run_id} is conditional, but the data set {spec.dataset!r} has no labels.")
    reals = Reals(
        dataset.images,
        dataset.labels if spec.conditional else None,
        classes,
        subset["indices"],
        subset["validation"],
        spec.hyper["mirror"],
        step_seed("data", spec.seed),
        device,
    )
    return reals, {"dataset_sha256": dataset.meta["sha256"], "subset_digest": subset["digest"]}


def write_result(
    run_dir: Path, spec: RunSpec, outcome: Outcome, digests: dict, method_files: dict, device: torch.device
) -> None:
    """Write train.json, the last file of a run."""
    snapshots = []
    for nimg in spec.snapshot_nimgs() if outcome.status == "done" else []:
        path = run_dir / "snapshots" / f"{snapshot_name(nimg)}.safetensors"
        snapshots.append({"nimg": nimg, "kimg": nimg / 1000, "file": f"snapshots/{path.name}", "sha256": sha256(path)})
    rate = outcome.cur_nimg / max(outcome.seconds, 1e-9)
    result = {
        "run": spec.run_id,
        "status": outcome.status,
        "reason": outcome.reason,
        "nimg": outcome.cur_nimg,
        "method_title": outcome.method_title,
        **digests,
        "snapshots": snapshots,
        "ranks": world_size(),
        "provenance": provenance.record(str(device), outcome.seconds, rate, world_size())
        | ({"method_files": method_files} if method_files else {}),
    }
    write_atomic(run_dir / "train.json", json.dumps(result, indent=1) + "\n")


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU when there is one, the one that torchrun counts out to this process.

    ConfigError where `cuda` is asked for and there is none, or fewer than processes.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device cuda is asked for, but torch sees no GPU. Use device: cpu or auto in config/config.yaml."
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    local_rank, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local_rank >= count:
        raise ConfigError(
            f"process {local_rank} has no GPU of its own: torch sees {count}. Start torchrun with "
            f"--nproc-per-node {count} at most, or train with --device cpu."
        )
    return torch.device("cuda", local_rank)


def set_up(device: torch.device, threads: int, tf32: bool) -> None:
    """Settings of the process: CPU threads and, on a GPU, the arithmetic of float32.

    float32 is float32 unless TF32 is asked for: the published numbers were trained without, and 10 bits of mantissa
    are more than a change of rounding. cuDNN measures which of its convolutions is fastest at each shape, so that two
    runs on a GPU are close, not equal.
    """
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32


def lock(run_dir: Path) -> FileLock:
    """The run directory's only writer, by the operating system's file lock, which ends with its owner.

    A workflow engine that is killed leaves its training job alive. The next start then waits for that job, and
    finds its work done.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    guard = FileLock(run_dir / ".lock")
    try:
        guard.acquire(timeout=0)
    except Timeout:
        owner = (run_dir / ".owner").read_text() if (run_dir / ".owner").exists() else "unknown"
        logger.warning("%s is being trained by process %s; waiting for it to end", run_dir, owner)
        guard.acquire()
    write_atomic(run_dir / ".owner", f"{os.getpid()}")
    return guard


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spec", type=Path, required=True, help="the run's spec.json")
    parser.add_argument("--data", type=Path, required=True, help="prepared images, .npy with a .json beside it")
    parser.add_argument("--subset", type=Path, required=True, help="index list made by data.subset")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; more than the cores is very slow")
    parser.add_argument("--tf32", action="store_true", help="let GPUs round float32 factors to 10 bits: faster")
    parser.add_argument("--tick-kimg", type=float, default=1.0, help="thousands of images between two log lines")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, help="least time between two checkpoints")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    terminated = False

    def on_sigterm(*_: object) -> None:
        nonlocal terminated
        terminated = True

    signal.signal(signal.SIGTERM, on_sigterm)
    spec = RunSpec.read(args.spec)
    device = pick_device(args.device)
    set_up(device, args.threads, args.tf32)
    with joined_ranks(device), lock(args.run_dir) if rank() == 0 else nullcontext():
        if rank() > 0:
            logging.disable(logging.ERROR)
        on_any_rank(False)  # the others wait for rank 0 to have the lock
        data, digests = load_reals(spec, args.data, args.subset, device)
        method_files = registry.digests([name for name, _ in spec.plugins])
        try:
            outcome = train(
                spec, data, args.run_dir, device, args.tick_kimg, args.checkpoint_seconds, lambda: terminated
            )
        except Exception as error:
            if not of_the_method(error):
                raise
            # A fault of a method or backbone: the other runs and the tables go on, this one says why it has no number.
            traceback.print_exc()
            reason = str(error) if isinstance(error, HookError) else registry.explain(error)
            outcome = Outcome("error", reason, 0, 0.0, spec.method)
        if outcome.status == "interrupted":
            logger.warning("%s stopped at %g kimg; the same command continues it", spec.run_id, outcome.cur_nimg / 1000)
            return TERMINATED
        if outcome.status != "done":
            logger.error("%s: %s: %s", spec.run_id, outcome.status, outcome.reason)
            logger.error("once mended: snakemake --cores all --forcerun %s", args.run_dir / "train.json")
        if rank() == 0:
            write_result(args.run_dir, spec, outcome, digests, method_files, device)
    return 0


if __name__ == "__main__":
    with one_line(LostRank), as_memory_error():
        sys.exit(main())
