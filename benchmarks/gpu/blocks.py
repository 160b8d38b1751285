"""The blocks of a session on a card in their order, and the same in sizes for a CPU, which prove that they run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Command, Skipped

PYTHON = sys.executable


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
    runs = ["--threads", "1", "--runs", "1", "2", str(length.RUNS)]
    float32 = ["--preset", "diffaugment-cifar", "biggan-cifar", "--method", "diffaugment", "--seconds", "2"]
    half = ["--preset", "cifar", "diffaugment-cifar-16bit", "biggan-cifar-16bit", "--method", "none", "ada"]
    large = ["--preset", "paper256", "--resolution", "256", "--method", "none", "ada"]
    fakes = ["--images", "5120", "--n-fake", "50000", "--repeats", "1"]
    return [
        Block("tests", "Does it compute what the CPU computes?", 0.18, tests(options, 6)),
        Block(
            "sharing",
            "How many runs should share the card?",
            0.07,
            benchmark(options, "sharing", "--preset", "diffaugment-cifar-16bit", *runs, "--seconds", "3"),
        ),
        Block(
            "speed",
            "How fast are the presets with 16-bit layers?",
            0.10,
            benchmark(options, "speed", *half, "--seconds", "2"),
        ),
        Block("float32", "How fast are the published float32 presets?", 0.05, benchmark(options, "speed", *float32)),
        Block("tf32", "What does TF32 bring them?", 0.04, benchmark(options, "speed", *float32, "--tf32")),
        Block("speed-256", "How fast is it at 256 px?", 0.06, benchmark(options, "speed", *large, "--seconds", "2")),
        Block(
            "profile",
            "Where does the time go?",
            0.05,
            benchmark(options, "profile", "--preset", "cifar", "--method", "ada", "--rows", "20"),
        ),
        Block(
            "fid",
            "How fast is it from fakes to a FID?",
            0.07,
            benchmark(options, "metrics", "--preset", "cifar", *fakes),
        ),
        Block("precision", "What do 16 bits and TF32 cost in accuracy?", 0.03, benchmark(options, "precision")),
        Block("trainings", "Does it show what the papers say?", 1.0, trainings(options)),
    ]


def on_a_cpu(options: Options) -> list[Block]:
    tiny = ["--preset", "tiny", "--resolution", "16", "--batch", "8"]
    runs = ["--threads", "1", "--runs", "1", str(length.RUNS), "--seconds", "0.1"]
    fakes = ["--preset", "tiny", "--images", "64", "--n-fake", "256", "--repeats", "1"]
    return [
        Block("tests", "Does it compute what the CPU computes?", 0.4, tests(options, 2)),
        Block("sharing", "How many runs should share the card?", 0.2, benchmark(options, "sharing", *tiny, *runs)),
        Block(
            "speed",
            "How fast is it?",
            0.2,
            benchmark(options, "speed", *tiny, "--method", "none", "ada", "--seconds", "0.1"),
        ),
        Block(
            "profile",
            "Where does the time go?",
            0.1,
            benchmark(options, "profile", *tiny, "--method", "ada", "--rows", "10"),
        ),
        Block("fid", "How fast is it from fakes to a FID?", 0.3, benchmark(options, "metrics", *fakes)),
        Block(
            "precision",
            "What do 16 bits and TF32 cost in accuracy?",
            0.2,
            benchmark(options, "precision", "--backbone", "stylegan2"),
        ),
        Block("trainings", "Does it show what the papers say?", 1.0, trainings(options)),
    ]


MODULES = {
    "speed": "benchmarks",
    "sharing": "benchmarks.sharing",
    "profile": "benchmarks.profile",
    "metrics": "benchmarks.metrics",
    "precision": "benchmarks.precision",
}
WITH_LINES = ("speed", "sharing")
"""The benchmarks that also write their lines as JSON, to <folder>/<name>.jsonl."""


def benchmark(options: Options, name: str, *arguments: str) -> Command:
    """A benchmark of MODULES with these arguments."""

    def command(folder: Path, seconds: float) -> list[str]:
        out = ["--out", f"{folder}/{name}.jsonl"] if name in WITH_LINES else []
        return [PYTHON, "-m", MODULES[name], "--device", options.device, *arguments, *out]

    return command


def tests(options: Options, processes: int) -> Command:
    """The tests in tests/gpu, in so many processes side by side."""

    def command(folder: Path, seconds: float) -> list[str]:
        how = ["-n", str(processes), "--device", options.device, f"--junitxml={folder}/tests.xml"]
        return [PYTHON, "-m", "pytest", "tests/gpu", *how]

    return command


def trainings(options: Options) -> Command:
    """The workflow, as a user would call it.

    On a GPU it trains for the longest of `length.STEPS` that fits into the time; Skipped where not even the shortest
    does. On a CPU it trains for as long as the scale says.
    """

    def command(folder: Path, seconds: float) -> list[str]:
        asked = [f"scale={options.scale}", f"artefacts={json.dumps([options.artefact])}", f"device={options.device}"]
        if options.device != "cpu":
            asked += fitting(folder, seconds)
        engine = [PYTHON, "-m", "snakemake", "--cores", str(os.cpu_count() or 1), "all"]
        return [*engine, "--config", *asked, *options.config]

    return command


def fitting(folder: Path, seconds: float) -> list[str]:
    """The keys of the configuration that make the trainings as long as `seconds` allow, by the rate in `folder`."""
    rate = length.images_per_s(folder)
    if rate is None:
        raise Skipped(f"the block `sharing` has not measured the rate of {length.RUNS} runs")
    kimg = length.kimg(rate, seconds)
    if kimg is None:
        raise Skipped(f"{seconds:.0f} s are left; {length.STEPS[0]} kimg at {rate:.0f} images/s need more")
    return [f"kimg={kimg}", f"snapshot_kimg={kimg / 4:g}", f"runs_per_gpu={length.RUNS}"]
