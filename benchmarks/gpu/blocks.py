"""The blocks of a session on a card in their order, and the same in sizes for a CPU, which prove that they run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Skipped

PYTHON = sys.executable
EXTRACT_FROM, NUMBER_OF = 5_120, 50_000
"""Fakes whose features are timed, and fakes that a number is computed from."""


@dataclass(frozen=True)
class Options:
    """What the command line says. The trainings make `artefact` at `scale`, with the further keys `config`."""

    device: str
    scale: str
    artefact: str
    config: list[str]


def names(device: str) -> list[str]:
    """The names of all blocks in their order."""
    return [block.name for block in blocks(Options(device, "", "", []))]


def blocks(options: Options) -> list[Block]:
    """All blocks for the device: in full on a GPU, tiny on a CPU."""
    return on_a_cpu(options) if options.device == "cpu" else on_a_gpu(options)


def on_a_gpu(options: Options) -> list[Block]:
    return [
        Block("tests", "Does it compute what the CPU computes?", 0.18, lambda folder, _: tests(folder, options, "6")),
        Block("sharing", "How many runs should share the card?", 0.07, lambda folder, _: [
            *benchmark("sharing", options), "--preset", "diffaugment-cifar-16bit", "--runs", "1", "2", str(length.RUNS),
            "--seconds", "3", "--out", f"{folder}/sharing.jsonl"]),
        Block("speed", "How fast are the presets with 16-bit layers?", 0.10, lambda folder, _: [
            *speed(folder, options), "--preset", "cifar", "diffaugment-cifar-16bit", "biggan-cifar-16bit",
            "--method", "none", "ada"]),
        Block("float32", "How fast are the published float32 presets?", 0.05, lambda folder, _: [
            *speed(folder, options), "--preset", "diffaugment-cifar", "biggan-cifar", "--method", "diffaugment"]),
        Block("tf32", "What does TF32 bring them?", 0.04, lambda folder, _: [
            *speed(folder, options), "--preset", "diffaugment-cifar", "biggan-cifar", "--method", "diffaugment",
            "--tf32"]),
        Block("speed-256", "How fast is it at 256 px?", 0.06, lambda folder, _: [
            *speed(folder, options), "--preset", "paper256", "--method", "none", "ada", "--resolution", "256"]),
        Block("profile", "Where does the time go?", 0.05, lambda folder, _: [
            *benchmark("profile", options), "--preset", "cifar", "--method", "ada", "--rows", "20"]),
        Block("fid", "How fast is it from fakes to a FID?", 0.07, lambda folder, _: [
            *benchmark("metrics", options), "--preset", "cifar", "--images", str(EXTRACT_FROM), "--n-fake",
            str(NUMBER_OF), "--repeats", "1"]),
        Block("precision", "What do 16 bits and TF32 cost in accuracy?", 0.03, lambda folder, _: [
            *benchmark("precision", options)]),
        Block("trainings", "Does it show what the papers say?", 1.0, lambda folder, left: trainings(
            folder, left, options)),
    ]  # fmt: skip


def on_a_cpu(options: Options) -> list[Block]:
    tiny = ["--preset", "tiny", "--resolution", "16", "--batch", "8"]
    return [
        Block("tests", "Does it compute what the CPU computes?", 0.4, lambda folder, _: tests(folder, options, "2")),
        Block("sharing", "How many runs should share the card?", 0.2, lambda folder, _: [
            *benchmark("sharing", options), *tiny, "--runs", "1", str(length.RUNS), "--seconds", "0.1",
            "--out", f"{folder}/sharing.jsonl"]),
        Block("speed", "How fast is it?", 0.2, lambda folder, _: [
            *speed(folder, options), *tiny, "--method", "none", "ada", "--seconds", "0.1"]),
        Block("profile", "Where does the time go?", 0.1, lambda folder, _: [
            *benchmark("profile", options), *tiny, "--method", "ada", "--rows", "10"]),
        Block("fid", "How fast is it from fakes to a FID?", 0.3, lambda folder, _: [
            *benchmark("metrics", options), "--preset", "tiny", "--images", "64", "--n-fake", "256", "--repeats", "1"]),
        Block("precision", "What do 16 bits and TF32 cost in accuracy?", 0.2, lambda folder, _: [
            *benchmark("precision", options), "--backbone", "biggan"]),
        Block("trainings", "Does it show what the papers say?", 1.0, lambda folder, left: workflow(options, [])),
    ]  # fmt: skip


def benchmark(name: str, options: Options) -> list[str]:
    module = f"benchmarks.{name}" if name else "benchmarks"
    return [PYTHON, "-m", module, "--device", options.device]


def speed(folder: Path, options: Options) -> list[str]:
    return [*benchmark("", options), "--seconds", "2", "--out", f"{folder}/speed.jsonl"]


def tests(folder: Path, options: Options, processes: str) -> list[str]:
    report = f"--junitxml={folder}/tests.xml"
    return [PYTHON, "-m", "pytest", "tests/gpu", "-n", processes, "--device", options.device, report]


def trainings(folder: Path, seconds: float, options: Options) -> list[str]:
    """The workflow at the longest length that fits into `seconds`; Skipped where not even the shortest does."""
    rate = length.images_per_s(folder)
    if rate is None:
        raise Skipped(f"the block `sharing` has not measured the rate of {length.RUNS} runs")
    kimg = length.kimg(rate, seconds)
    if kimg is None:
        raise Skipped(f"{seconds:.0f} s are left; {length.STEPS[0]} kimg at {rate:.0f} images/s need more")
    return workflow(options, [f"kimg={kimg}", f"snapshot_kimg={kimg / 4:g}", f"runs_per_gpu={length.RUNS}"])


def workflow(options: Options, config: list[str]) -> list[str]:
    """The command of the trainings: what a user would type."""
    engine = [PYTHON, "-m", "snakemake", "--cores", str(os.cpu_count() or 1), "all"]
    asked = [f"scale={options.scale}", f"artefacts={json.dumps([options.artefact])}", f"device={options.device}"]
    return [*engine, "--config", *asked, *config, *options.config]
