"""One training set-up, measured with the suite's own training steps on synthetic images."""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.peak import Operations, measured_peak
from benchmarks.setting import prepared, recorder
from benchmarks.stopwatch import Stopwatch, synchronize
from leangan.core.cuda_graph import Recorder
from leangan.core.spec import SUBSET_DEFAULTS, RunSpec
from leangan.plugins.precision import half_precision
from leangan.plugins.revisions import revisions_of
from leangan.runs.methods import build_method, method_plugins, method_preset
from leangan.runs.presets import preset_at
from leangan.training.capture import WARM_UP
from leangan.training.ema import Ema
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer

IN_A_ROW = 4
"""Iterations between two waits for the device: few, since the host may be far ahead of it."""

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
        self.backbone = stated.backbone
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
        self.cur_nimg = 0
        backbone = self.trainer.backbone
        # A run has an interval without a common factor. One of 16 costs the same to a 15th, and keeps a cycle short.
        if not self.trainer.method.needs_validation:
            self.trainer.validation_interval = 16
        self.kinds = kinds([backbone.g_reg_interval, backbone.d_reg_interval, self.trainer.validation_interval])
        self.cycle = sum(self.kinds.values())

    def run(self) -> int:
        """One cycle of iterations, as in `leangan.training.loop`; returns the number of real images it took."""
        for iteration in range(self.cycle):
            self.iterate(iteration)
        return self.cycle * self.nimg

    def iterate(self, iteration: int) -> None:
        """The next iteration, with everything that is due in that one of a cycle.

        `kinds` has one of each kind in a cycle, with the number of those that are like it.
        """
        seed_step(0, self.cur_nimg)
        self.trainer.g_step(self.cur_nimg, iteration)
        self.ema.update(self.trainer.G, self.cur_nimg, self.nimg)
        for _ in range(self.hyper["d_steps"]):
            self.trainer.d_step(self.cur_nimg, iteration)
            self.cur_nimg += self.hyper["batch"]
        self.trainer.validate(self.cur_nimg, iteration)

    def warm_up(self) -> None:
        """Run every kind of iteration until it does nothing for the first time: where they are captured, past that."""
        captures = any(part.record for part in self.trainer.parts.values())
        for iteration in self.kinds:
            for _ in range(WARM_UP + 1 if captures else 1):
                self.iterate(iteration)
        synchronize(self.device)

    def run_as(self, record: Recorder | None) -> None:
        """From now on, run the parts of an iteration as `record` makes them, or as written (None)."""
        for part in self.trainer.parts.values():
            part.record = record
            part.reset()

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


def kinds(intervals: list[int]) -> dict[int, int]:
    """The kinds of iterations in a cycle, after which everything that is due now and then has had its share.

    The first iteration of each kind, with the number of those in which the same is due. What is due in every iteration,
    or never, has interval 1 or 0.
    """
    lazy = [interval for interval in intervals if interval > 1]
    due = [tuple(iteration % interval == 0 for interval in lazy) for iteration in range(math.lcm(*lazy))]
    return {due.index(kind): count for kind, count in Counter(due).items()}


def useful_operations(iterations: Iterations) -> Operations:
    """The operations of one cycle of the networks alone, without the method."""
    trainer = iterations.trainer
    method, trainer.method = trainer.method, build_method("none", {})
    found = Operations()
    try:
        for iteration, times in iterations.kinds.items():
            with Operations() as operations:
                iterations.iterate(iteration)
            found.add(operations, times)
    finally:
        trainer.method = method
    return found


def seconds_per_cycle(iterations: Iterations, seconds: float) -> float:
    """How long a cycle takes, from each kind of iteration as often as fits in its share of about `seconds`."""
    total = 0.0
    for iteration, times in iterations.kinds.items():
        count, start = 0, time.perf_counter()
        while not count or time.perf_counter() < start + seconds * times / iterations.cycle:
            for _ in range(min(times, IN_A_ROW)):
                iterations.iterate(iteration)
                count += 1
            synchronize(iterations.device)
        total += times * (time.perf_counter() - start) / count
    return total


def split(iterations: Iterations) -> dict[str, float]:
    """Seconds of a cycle by section."""
    watch = Stopwatch(iterations.device)
    iterations.attach(watch)
    found = dict.fromkeys(SECTIONS, 0.0)
    for iteration, times in iterations.kinds.items():
        watch.seconds.clear()
        iterations.iterate(iteration)
        for section, seconds in watch.seconds.items():
            found[section] += times * seconds
    return found


def measure(iterations: Iterations, seconds: float, record: Recorder | None = None) -> Measurement:
    """Time the iterations for about `seconds`, as `record` makes them; then count and split them as they are written.

    Each kind of iteration is run by itself and counts as often as a cycle has it. What a replay of a CUDA graph does
    can neither be counted nor split.
    """
    device = iterations.device
    iterations.run_as(record)
    iterations.warm_up()
    images = iterations.cycle * iterations.nimg
    rate = images / seconds_per_cycle(iterations, seconds)

    # What the process holds at most, on a CPU with the interpreter and its libraries.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)

    iterations.run_as(None)
    operations = useful_operations(iterations)
    parts = split(iterations)
    weightiest = operations.convolutions.most_common(1)[0][0]
    return Measurement(
        dtype=str(weightiest.dtype).removeprefix("torch."),
        images_per_s=rate,
        shares={section: parts[section] / sum(parts.values()) for section in SECTIONS},
        memory_bytes=memory,
        operations=operations.total / images,
        peak=measured_peak(operations.convolutions, device, seconds / 20),
    )


def measure_line(preset: str, method: str, args: argparse.Namespace) -> Measurement:
    """One line of `python -m benchmarks`; `args` are its options."""
    device = prepared(args)
    options = args.resolution, args.channels, args.classes, args.batch, device, dict(args.set)
    with half_precision(getattr(torch, args.half)) if args.half else nullcontext():
        iterations = Iterations(preset, method, *options)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        return measure(iterations, args.seconds, recorder(args, device))
