"""The blocks of a session on a card in their order, and the same in sizes for a CPU, which prove that they run."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.gpu import length
from benchmarks.gpu.block import Block, Command
from benchmarks.gpu.trainings import Options, trainings

PYTHON = sys.executable

TESTS = "Does it compute what the CPU computes?"
SPEED = "How fast is training?"
EAGER = "How fast is it without CUDA graphs?"
FUSED = "How fast is it with fused kernels?"
KERNELS = "Which fused kernels are faster than what they replace?"
LARGE = "How fast is it at 256 px?"
PROFILE = "Where does the time go?"
SHARING = "How many runs should share the card?"
FID = "How fast is it from fakes to a FID?"
PRECISION = "What do 16 bits and TF32 cost in accuracy?"
TRAININGS = "Does it show what the papers say?"


def names(device: str) -> list[str]:
    """The names of all blocks in their order."""
    return [block.name for block in blocks(Options(device, "", "", [], 0, None, ""))]


def blocks(options: Options) -> list[Block]:
    """All blocks for the device: in full on a GPU, tiny on a CPU."""
    return on_a_cpu(options) if options.device == "cpu" else on_a_gpu(options)


def on_a_gpu(options: Options) -> list[Block]:
    half = ["--preset", "cifar", length.PRESET, "biggan-cifar-16bit", "--method", "ada"]
    fused = ["--preset", "cifar", length.PRESET, "--method", "ada", "--fused-kernels", "on"]
    large = ["--preset", "paper256", "--resolution", "256", "--method", "ada"]
    adaptive = ["--preset", "cifar", "--method", "ada", "--rows", "20"]
    runs = ["--threads", "1", "--runs", "1", str(length.RUNS), "--seconds", "3"]  # one thread each, as in the workflow
    float32 = ["--preset", "diffaugment-cifar", "biggan-cifar", "--method", "diffaugment"]
    fakes = ["--preset", "cifar", "--images", "2560", "--n-fake", "50000", "--repeats", "1"]
    short, eager = ["--seconds", "2"], ["--cuda-graphs", "off"]
    return [
        Block("tests", TESTS, 150, tests(options, 8)),
        Block("speed", SPEED, 60, benchmark(options, "speed", *half, *short)),
        Block("eager", EAGER, 60, benchmark(options, "speed", *half, *short, *eager)),
        Block("fused", FUSED, 45, benchmark(options, "speed", *fused, *short)),
        Block("kernels", KERNELS, 40, benchmark(options, "kernels")),
        Block("speed-256", LARGE, 90, benchmark(options, "speed", *large, *short)),
        Block("profile", PROFILE, 40, benchmark(options, "profile", *adaptive)),
        Block(
            "tf32",
            "What does TF32 bring the float32 presets?",
            40,
            benchmark(options, "speed", *float32, *short, "--tf32"),
        ),
        Block("float32", "How fast are they without?", 40, benchmark(options, "speed", *float32, *short)),
        Block("sharing", SHARING, 70, benchmark(options, "sharing", "--preset", length.PRESET, *runs)),
        Block("fid", FID, 80, benchmark(options, "metrics", *fakes)),
        Block("precision", PRECISION, 30, benchmark(options, "precision")),
        Block("trainings", TRAININGS, None, trainings(options)),
    ]


def on_a_cpu(options: Options) -> list[Block]:
    tiny = ["--preset", "tiny", "--resolution", "16", "--batch", "8"]
    adaptive = [*tiny, "--method", "ada"]
    large = ["--preset", "tiny", "--resolution", "64", "--batch", "8", "--method", "ada"]
    runs = ["--threads", "1", "--runs", "1", str(length.RUNS), "--seconds", "0.1"]
    fakes = ["--preset", "tiny", "--images", "64", "--n-fake", "256", "--repeats", "1"]
    networks = ["--backbone", "stylegan2", "--draws", "1"]
    short = ["--seconds", "0.1"]
    return [
        Block("tests", TESTS, 300, tests(options, 2)),
        Block("speed", SPEED, 120, benchmark(options, "speed", *adaptive, *short)),
        Block("eager", EAGER, 120, benchmark(options, "speed", *adaptive, *short, "--cuda-graphs", "off")),
        Block("fused", FUSED, 120, benchmark(options, "speed", *adaptive, *short, "--fused-kernels", "on")),
        Block("kernels", KERNELS, 120, benchmark(options, "kernels")),
        Block("speed-256", LARGE, 120, benchmark(options, "speed", *large, *short)),
        Block("profile", PROFILE, 120, benchmark(options, "profile", *adaptive, "--rows", "10")),
        Block("sharing", SHARING, 120, benchmark(options, "sharing", *tiny, *runs)),
        Block("fid", FID, 240, benchmark(options, "metrics", *fakes)),
        Block("precision", PRECISION, 120, benchmark(options, "precision", *networks)),
        Block("trainings", TRAININGS, None, trainings(options)),
    ]


MODULES = {
    "speed": "benchmarks",
    "kernels": "benchmarks.kernels",
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
