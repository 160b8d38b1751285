"""One training set-up, measured with the suite's own training steps on synthetic images."""

from __future__ import annotations

import argparse
import math
import resource
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.peak import Operations, measured_peak
from benchmarks.setting import prepared
from benchmarks.stopwatch import Stopwatch, synchronize
from leangan.core.spec import SUBSET_DEFAULTS, RunSpec
from leangan.plugins.precision import half_precision
from leangan.plugins.revisions import revisions_of
from leangan.runs.methods import build_method, method_plugins, method_preset
from leangan.runs.presets import preset_at
from leangan.training.ema import Ema
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer

SECTIONS = ("data", "augment", "G step", "D step", "R1", "path length", "optimiser")


@dataclass
class Measurement:
    """What one preset and method cost.

    `shares` are parts of an iteration's time by section, `peak` is in operations per second. `operations` are those of
    convolutions and matrix products per real image that the networks need without the method: multiplications by the
    zeros of an augmentation's banded matrices are no useful work.
    """

    dtype: str
    images_per_s: float
    shares: dict[str, float]
    memory_bytes: int
    operations: float
    peak: float


class Iterations:
    """Networks, data and optimisers of a run, and the iterations that train it; `replaced` are keys of the preset."""

    def __init__(
        self,
        preset: str,
        method: str,
        resolution: int,
        channels: int,
        classes: int,
        batch: int | None,
        device: torch.device,
        replaced: dict[str, Any] | None = None,
    ) -> None:
        changed = {**method_preset(method), **(replaced or {}), **({"batch": batch} if batch else {})}
        stated = preset_at(preset, resolution, "--preset", changed)
        self.hyper = hyper = stated.hyper
        count = 2 * hyper["batch"]
        plugins = method_plugins(method)
        spec = RunSpec(
            dataset="synthetic",
            resolution=resolution,
            images=count,
            subset_seed=0,
            **SUBSET_DEFAULTS,
            conditional=classes > 0,
            backbone=stated.backbone,
            hyper=hyper,
            plugins=plugins,
            revisions=revisions_of(stated.backbone, plugins),
            seed=0,
            total_kimg=stated.kimg,
            snapshot_kimg=stated.kimg,
            tf32=False,
            parent=None,
            labels=stated.labels(method, method),
        )
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (2 * count, channels, resolution, resolution), dtype=np.uint8)
        labels = rng.integers(0, classes, len(images)) if classes else None
        train, validation = list(range(count)), list(range(count, 2 * count))
        torch.manual_seed(0)
        self.data = Reals(images, labels, classes, train, validation, hyper["mirror"], 0, device)
        self.trainer = Trainer(spec, self.data, device)
        self.ema = Ema(self.trainer.G, hyper["ema_half_life_kimg"], hyper["ema_ramp"], hyper["ema_start_kimg"])
        self.device = device
        self.nimg = hyper["batch"] * hyper["d_steps"]
        # After this many iterations everything that is due now and then has had its share.
        backbone = self.trainer.backbone
        intervals = (backbone.g_reg_interval, backbone.d_reg_interval, self.trainer.validation_interval)
        self.cycle = math.lcm(*(max(interval, 1) for interval in intervals))

    def run(self) -> int:
        """One cycle of iterations, as in `leangan.training.loop`; returns the number of real images it took."""
        for iteration in range(self.cycle):
            self.iterate(iteration)
        return self.cycle * self.nimg

    def iterate(self, iteration: int) -> None:
        """One of the iterations of a cycle."""
        cur_nimg = iteration * self.nimg
        seed_step(0, cur_nimg)
        self.trainer.g_step(cur_nimg, iteration)
        self.ema.update(self.trainer.G, cur_nimg, self.nimg)
        for _ in range(self.hyper["d_steps"]):
            self.trainer.d_step(cur_nimg, iteration)
            cur_nimg += self.hyper["batch"]
        self.trainer.validate(cur_nimg, iteration)

    def attach(self, watch: Stopwatch) -> None:
        """Let `watch` time the parts of all iterations to come."""
        trainer = self.trainer
        for name in ("batch", "validation_batch", "random_labels"):
            watch.attach(self.data, name, "data")
        watch.attach(trainer.method, "transform", "augment")
        watch.attach(trainer.g_player, "step", "G step")
        watch.attach(trainer.d_player, "step", "D step")
        for name, section in (("g_step", "G step"), ("d_step", "D step"), ("validate", "D step")):
            watch.attach(trainer, name, section)
        # A lazy regulariser has an optimiser step of its own; one in every step is part of the step.
        backbone = trainer.backbone
        if backbone.g_reg_interval > 1:
            watch.rename_at(backbone, "g_regularizer", "path length")
        if backbone.d_reg_interval > 1:
            watch.rename_at(backbone, "d_regularizer", "R1")
        for player in (trainer.g_player, trainer.d_player):
            watch.attach(player.optimizer, "step", "optimiser")
        watch.attach(self.ema, "update", "optimiser")


def useful_operations(iterations: Iterations) -> Operations:
    """The operations of one cycle of the networks alone, without the method."""
    trainer = iterations.trainer
    method, trainer.method = trainer.method, build_method("none", {})
    try:
        with Operations() as operations:
            iterations.run()
    finally:
        trainer.method = method
    return operations


def measure(iterations: Iterations, seconds: float) -> Measurement:
    """Run whole cycles of `iterations`: some to warm up and count, those that fit in `seconds` to time, one to split.

    On a GPU the first cycle of everything chooses algorithms, so one of the method runs before the clock starts, too.
    """
    device = iterations.device
    if device.type == "cuda":
        iterations.run()
    operations = useful_operations(iterations)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    synchronize(device)

    timed_images, start = 0, time.perf_counter()
    while not timed_images or time.perf_counter() < start + seconds:
        timed_images += iterations.run()
        synchronize(device)
    rate = timed_images / (time.perf_counter() - start)

    # What the process holds at most, on a CPU with the interpreter and its libraries.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)

    watch = Stopwatch(device)
    iterations.attach(watch)
    images = iterations.run()
    total = sum(watch.seconds.values())
    weightiest = operations.convolutions.most_common(1)[0][0]
    return Measurement(
        dtype=str(weightiest.dtype).removeprefix("torch."),
        images_per_s=rate,
        shares={section: watch.seconds[section] / total for section in SECTIONS},
        memory_bytes=memory,
        operations=operations.total / images,
        peak=measured_peak(operations.convolutions, device, seconds / 20),
    )


def measure_line(preset: str, method: str, args: argparse.Namespace) -> Measurement:
    """One line of `python -m benchmarks`; `args` are its options."""
    device = prepared(args)
    options = args.resolution, args.channels, args.classes, args.batch, device, dict(args.set)
    with half_precision(getattr(torch, args.half)) if args.half else nullcontext():
        return measure(Iterations(preset, method, *options), args.seconds)
