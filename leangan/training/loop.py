"""The training loop: one for every backbone, method and data set.

Each iteration is a G step, the average of G's weights, and one or more D steps on fresh reals. Around them: a log
line each tick, a snapshot and a picture at the marks of the spec, a checkpoint now and then. Interrupted at any
instant and started again it continues, and on a CPU leaves the same bits as if it had never stopped. Under torchrun
every rank runs this loop on its part of each batch, and rank 0 writes the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from leangan.core.distributed import drawing_own_rows, on_any_rank
from leangan.core.provenance import merge_records
from leangan.core.ranks import alone, rank, world_size
from leangan.core.spec import RunSpec, snapshot_name
from leangan.launching import devices
from leangan.plugins.trial import try_hooks
from leangan.training import checkpoint, log
from leangan.training.ema import Ema
from leangan.training.gradients import save_gradients
from leangan.training.origin import Origin, resume
from leangan.training.progress import Progress
from leangan.training.purity import recorder_of
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step, step_seed
from leangan.training.samples import CELLS, save_grid, save_images, save_strips
from leangan.training.snapshot import save_generator
from leangan.training.trainer import Trainer


@dataclass
class TrainResult:
    """How a run ended: `status` is done, diverged, interrupted or error; `seconds` of training, restarts added up.

    `provenance` is that of the last call which trained: a run that was complete keeps its own.
    """

    status: str
    reason: str | None
    cur_nimg: int
    seconds: float
    method_title: str
    origin: Origin | None = None
    provenance: dict[str, Any] | None = None


def train(
    spec: RunSpec,
    data: Reals,
    run_dir: Path,
    device: torch.device,
    tick_kimg: float,
    checkpoint_seconds: float,
    stop: Callable[[], bool],
    origin: Origin | None = None,
    provenance: dict[str, Any] | None = None,
    parent: Path | None = None,
) -> TrainResult:
    """Train `spec` in `run_dir` from its newest checkpoint to its length, to divergence or until `stop()`.

    Leaves `train.jsonl`, `snapshots/`, `samples/` and `ckpt/`. `tick_kimg` is the distance between two log lines,
    `checkpoint_seconds` the least time between two checkpoints; neither changes what is trained. `origin` (of
    `training.origin`; None: not known and not compared) and `provenance` (of `core.provenance`) go into the
    checkpoints. `parent` is the directory of the run that this one starts from. Raises ConfigError where the ranks at
    work cannot share the run.
    """
    devices.check_ranks(spec, world_size())
    hyper = spec.hyper
    nimg_per_iteration = hyper["batch"] * hyper["d_steps"]
    snapshot_nimgs = spec.snapshot_nimgs()
    total_nimg = spec.total_nimg
    tick_nimg = max(round(tick_kimg * 1000), nimg_per_iteration)

    run_dir.mkdir(parents=True, exist_ok=True)
    state = resume(run_dir, origin, total_nimg, device)
    try_hooks(spec, data, device)
    record = recorder_of(spec, data, device)
    torch.manual_seed(step_seed("init", spec.seed))
    trainer = Trainer(spec, data, device, record)
    ema = Ema(trainer.G, hyper["ema_half_life_kimg"], hyper["ema_ramp"], hyper["ema_start_kimg"])

    # Continue where the newest checkpoint stands.
    cur_nimg, seconds, finite_nimg = 0, 0.0, 0
    if state is not None:
        cur_nimg, seconds, finite_nimg = state["cur_nimg"], state["seconds"], state["finite_nimg"]
        trainer.load_state_dict(state["steps"])
        ema.module.load_state_dict(state["ema"])
        origin, provenance = state["origin"], merge_records(state["provenance"], provenance, cur_nimg < total_nimg)
    else:
        trainer.method.initialize(replace(trainer.networks, G_ema=ema.module, parent=parent))
    reals, labels = data.first(CELLS)
    writes = rank() == 0
    if writes:
        log.rewind(run_dir / "train.jsonl", cur_nimg)
        save_images(run_dir / "samples" / "reals.png", reals)

    progress = Progress(f"{spec.method} s{spec.seed}", total_nimg, cur_nimg)
    now = last_checkpoint = tick_started = time.monotonic()
    seconds_before, started, tick_start_nimg = seconds, now, cur_nimg
    (stopped,) = on_any_rank(stop())
    reason = None

    while cur_nimg < total_nimg and not stopped and reason is None:
        # All random numbers of this iteration follow from its position.
        seed_step(spec.seed, cur_nimg)
        iteration = cur_nimg // nimg_per_iteration
        with drawing_own_rows():
            trainer.g_step(cur_nimg, iteration)
            ema.update(trainer.G, cur_nimg, nimg_per_iteration)
            for _ in range(hyper["d_steps"]):
                trainer.d_step(cur_nimg, iteration)
                cur_nimg += hyper["batch"]
            trainer.validate(cur_nimg, iteration)

        # A line of the log; divergence ends the run at the last tick whose numbers were finite.
        if cur_nimg % tick_nimg < nimg_per_iteration or cur_nimg == total_nimg:
            means = trainer.tally.means()
            if bad := log.non_finite(means):
                on_any_rank(False)  # raises where a rank was lost in the exchange, which leaves any numbers
                reason = f"{', '.join(bad)} not finite between {finite_nimg / 1000:g} and {cur_nimg / 1000:g} kimg"
                break
            finite_nimg = cur_nimg
            now = time.monotonic()
            seconds = seconds_before + now - started
            line = {
                "cur_nimg": cur_nimg,
                "kimg": cur_nimg / 1000,
                **means,
                **trainer.method.log(),
                "images_per_s": (cur_nimg - tick_start_nimg) / max(now - tick_started, 1e-9),
                "seconds": seconds,
            }
            if writes:
                log.append(run_dir / "train.jsonl", line)
            trainer.tally.clear()
            tick_started, tick_start_nimg = now, cur_nimg
            progress.update(cur_nimg, f"G {means['loss_g']:.2f}  D {means['loss_d']:.2f}")

        if writes and cur_nimg in snapshot_nimgs:
            name, pictures = snapshot_name(cur_nimg), run_dir / "samples"
            with alone():
                ema.settle()
                ema.module.accumulate_standing(data.random_labels)
                save_grid(pictures / f"{name}.png", ema.module, labels, spec.seed)
                _, labels_of_batch = data.first(trainer.own_batch)
                save_gradients(
                    pictures / f"gradients-{name}.png",
                    ema.module,
                    trainer.D,
                    transform=trainer.method.transform,
                    c=labels_of_batch,
                    batch=trainer.own_batch,
                    seed=spec.seed,
                )
                if cur_nimg == total_nimg:
                    save_strips(pictures / "strips.png", ema.module, labels, spec.seed)
            file, of_generator = run_dir / "snapshots" / f"{name}.safetensors", trainer.method.of_generator
            save_generator(file, ema.module, spec, data, cur_nimg, origin, of_generator)

        now = time.monotonic()
        stopped, due = on_any_rank(stop(), now - last_checkpoint >= checkpoint_seconds)
        if stopped or due or cur_nimg == total_nimg:
            seconds = seconds_before + now - started
            state = {
                "cur_nimg": cur_nimg,
                "finite_nimg": finite_nimg,
                "seconds": seconds,
                "origin": origin,
                "provenance": provenance,
                "steps": trainer.state_dict(),
                "ema": ema.module.state_dict(),
            }
            if writes:
                checkpoint.save(run_dir / "ckpt", state)
            last_checkpoint = now

    progress.close()
    status = "diverged" if reason else "done" if cur_nimg >= total_nimg else "interrupted"
    return TrainResult(status, reason, cur_nimg, seconds, trainer.method.title, origin, provenance)
