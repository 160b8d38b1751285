"""The blocks of a session on a card in their order, and the same in sizes for a CPU, which prove that they run."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Command
from benchmarks.gpu.trainings import Options, trainings

PYTHON = sys.executable


def names(device: str) -> list[str]:
    """The names of all blocks in their order."""
    return [block.name for block in blocks(Options(device, "", "", [], 0, None, ""))]


def blocks(options: Options) -> list[Block]:
    """All blocks for the device: in full on a GPU, tiny on a CPU."""
    return on_a_cpu(options) if options.device == "cpu" else on_a_gpu(options)


def on_a_gpu(options: Options) -> list[Block]:
    runs = ["--threads", "1", "--runs", "1", str(length.RUNS), "--seconds", "3"]  # one thread each, as in the workflow
    half = ["--preset", "cifar", "diffaugment-cifar-16bit", "biggan-cifar-16bit", "--method", "none", "ada"]
    large = ["--preset", "paper256", "--resolution", "256", "--method", "none", "ada"]
    float32 = ["--preset", "diffaugment-cifar", "biggan-cifar", "--method", "diffaugment"]
    fakes = ["--preset", "cifar", "--images", "2560", "--n-fake", "50000", "--repeats", "1"]
    adaptive = ["--preset", "cifar", "--method", "ada", "--rows", "20"]
    short = ["--seconds", "2"]
    return [
        Block("tests", "Does it compute what the CPU computes?", 150, tests(options, 6)),
        Block(
            "sharing",
            "How many runs should share the card?",
            70,
            benchmark(options, "sharing", "--preset", "diffaugment-cifar-16bit", *runs),
        ),
        Block("speed", "How fast are the presets with 16-bit layers?", 75, benchmark(options, "speed", *half, *short)),
        Block("profile", "Where does the time go?", 40, benchmark(options, "profile", *adaptive)),
        Block("speed-256", "How fast is it at 256 px?", 60, benchmark(options, "speed", *large, *short)),
        Block(
            "float32",
            "How fast are the published float32 presets?",
            40,
            benchmark(options, "speed", *float32, *short),
        ),
        Block("tf32", "What does TF32 bring them?", 40, benchmark(options, "speed", *float32, *short, "--tf32")),
        Block("fid", "How fast is it from fakes to a FID?", 80, benchmark(options, "metrics", *fakes)),
        Block("precision", "What do 16 bits and TF32 cost in accuracy?", 30, benchmark(options, "precision")),
        Block("trainings", "Does it show what the papers say?", None, trainings(options)),
    ]


def on_a_cpu(options: Options) -> list[Block]:
    tiny = ["--preset", "tiny", "--resolution", "16", "--batch", "8"]
    runs = ["--threads", "1", "--runs", "1", str(length.RUNS), "--seconds", "0.1"]
    both = ["--method", "none", "ada", "--seconds", "0.1"]
    fakes = ["--preset", "tiny", "--images", "64", "--n-fake", "256", "--repeats", "1"]
    adaptive = ["--method", "ada", "--rows", "10"]
    networks = ["--backbone", "stylegan2", "--draws", "1"]
    return [
        Block("tests", "Does it compute what the CPU computes?", 300, tests(options, 2)),
        Block("sharing", "How many runs should share the card?", 120, benchmark(options, "sharing", *tiny, *runs)),
        Block("speed", "How fast is it?", 120, benchmark(options, "speed", *tiny, *both)),
        Block("profile", "Where does the time go?", 120, benchmark(options, "profile", *tiny, *adaptive)),
        Block("fid", "How fast is it from fakes to a FID?", 240, benchmark(options, "metrics", *fakes)),
        Block(
            "precision", "What do 16 bits and TF32 cost in accuracy?", 120, benchmark(options, "precision", *networks)
        ),
        Block("trainings", "Does it show what the papers say?", None, trainings(options)),
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
    """The tests in tests/gpu, in so many processes side by side; failures are written as they come."""

    def command(folder: Path, seconds: float) -> list[str]:
        written = [f"--junitxml={folder}/tests.xml", f"--failures={folder}/tests-failed.txt"]
        return [PYTHON, "-m", "pytest", "tests/gpu", "-vv", "-n", str(processes), "--device", options.device, *written]

    return command
