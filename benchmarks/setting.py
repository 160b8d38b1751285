"""What a benchmark measures on: the device, set up by the function that training uses, and a line that describes it."""

from __future__ import annotations

import argparse
import itertools
import subprocess
from collections.abc import Iterable

import torch

from leangan.core.cuda_graph import Recorder, recorder_on
from leangan.core.errors import ConfigError
from leangan.core.kernels import fused, use_fused
from leangan.core.provenance import device_name
from leangan.plugins.backbone import Backbone
from leangan.plugins.registry import FailedImport, load
from leangan.runs.methods import method_plugins, method_preset
from leangan.runs.presets import Preset, preset_at
from leangan.training.device import pick_device, set_up


def positive(text: str) -> int:
    """A whole number from 1 up, for options."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def parser_of(module: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m <module>` with the options that all benchmarks share: device, threads, TF32."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto", help="what is measured")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument(
        "--tf32",
        action="store_true",
        help="let a GPU round float32 factors to 10 bits, as arithmetic.tf32 does; nothing on a CPU",
    )
    parser.add_argument(
        "--fused-kernels",
        choices=["on", "off"],
        default="off",
        help="let a GPU use the fused kernels (leangan/core/kernels.py); nothing on a CPU",
    )
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which run is measured, where it is a single one."""
    parser.add_argument("--preset", default="tiny", help="a row of config/presets.yaml")
    parser.add_argument("--method", default="none", help="a row of config/methods.yaml or a file of augment/")
    parser.add_argument("--resolution", type=positive, default=32, help="pixels")
    parser.add_argument("--batch", type=positive, help="default: the preset's")


def add_cuda_graphs(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how a GPU runs the parts of an iteration."""
    parser.add_argument(
        "--cuda-graphs",
        choices=["on", "off"],
        default="on",
        help="run each part of an iteration as a CUDA graph, as training does; nothing on a CPU",
    )


def recorder(args: argparse.Namespace, device: torch.device) -> Recorder | None:
    """What turns the parts of an iteration into CUDA graphs; None where they run as written."""
    return recorder_on(device) if args.cuda_graphs == "on" else None


def check_runs(presets: Iterable[str], methods: Iterable[str], resolution: int) -> None:
    """Raise ConfigError unless every preset can have every method, before anything is measured."""
    for preset, method in itertools.product(presets, methods):
        method_plugins(method)
        preset_at(preset, resolution, "--preset", method_preset(method))


def prepared(args: argparse.Namespace) -> torch.device:
    """The device of the options, set up as `leangan.training.run` does. Every process of a benchmark calls it."""
    device = pick_device(args.device)
    set_up(device, args.threads, args.tf32)
    use_fused(args.fused_kernels == "on")
    return device


def backbone_of(preset: Preset, resolution: int) -> Backbone:
    """The backbone of a preset for unconditional colour images. Raises ConfigError where it cannot be imported."""
    backbone = load("backbone", preset.backbone)
    if isinstance(backbone, FailedImport):
        raise ConfigError(backbone.reason)
    return backbone(preset.hyper, resolution, 3, 0)


def described(device: torch.device, args: argparse.Namespace) -> str:
    """One line: torch, device, arithmetic. It states what is set now, not what was asked for."""
    parts = [f"torch {torch.__version__}", device_name(str(device))]
    if device.type != "cuda":
        return ", ".join([*parts, f"{torch.get_num_threads()} threads, float32"])
    card = torch.cuda.get_device_properties(device)
    return ", ".join(
        [
            *parts,
            f"driver {driver_version()}",
            f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
            f"{card.multi_processor_count} multiprocessors, {card.total_memory / 2**30:.0f} GiB",
            f"TF32 {tf32_state()}",
            f"cuDNN autotune {'on' if torch.backends.cudnn.benchmark else 'off'}",
            *([f"CUDA graphs {args.cuda_graphs}"] if "cuda_graphs" in args else []),
            f"fused kernels {'on' if fused() else 'off'}",
        ]
    )


def tf32_state() -> str:
    """Whether float32 factors are rounded to 10 bits: on, off, or for which operations alone."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    if convolutions != products:
        return "on for convolutions alone" if convolutions else "on for matrix products alone"
    return "on" if convolutions else "off"


def driver_version() -> str:
    """The version of NVIDIA's driver; "unknown" where nvidia-smi does not say."""
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"
