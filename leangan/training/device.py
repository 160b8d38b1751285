"""The device of a process and the arithmetic it computes in; training, features and benchmarks set it up alike."""

from __future__ import annotations

import argparse
import os
from typing import Any

import torch

from leangan.core.errors import ConfigError


def why_no_gpu() -> str:
    """Why torch, as it is installed, may see no GPU, and what to do about it."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for CPUs only: install a torch that is built for CUDA"
    return (
        f"torch {torch.__version__} is built for CUDA {torch.version.cuda}. If there is a GPU, its driver may be too "
        "old: install a newer one, or a torch for an older CUDA. Or CUDA_VISIBLE_DEVICES hides it"
    )


def pick_device(name: str) -> torch.device:
    """The device for a `name`: `auto` is a GPU if there is one. Under torchrun it is the GPU of this LOCAL_RANK.

    Raises ConfigError if `cuda` is requested and torch sees no GPU, or fewer GPUs than processes.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device cuda is asked for, but torch sees no GPU. {why_no_gpu()}. To compute on the CPU: --device cpu, or "
            "device: cpu in config/config.yaml."
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


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add --device, for `pick_device`, --threads, for `set_up`, and --cuda-graphs, for `core.cuda_graph.use_graphs`."""
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"], help="auto: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; more than the cores is very slow")
    parser.add_argument(
        "--cuda-graphs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let a GPU run training steps and generators as CUDA graphs, where that is possible: the same numbers up "
        "to rounding, and faster",
    )


def set_up(device: torch.device, threads: int, tf32: bool) -> None:
    """Settings of the process: CPU threads and, on a GPU, the arithmetic of float32.

    With `tf32` a GPU rounds float32 factors to 10 bits of mantissa. cuDNN measures which of its convolutions is fastest
    at each shape, so that two runs on a GPU are close, not equal. Work is queued on a stream of its own, since a CUDA
    graph cannot be captured on the default one.
    """
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
        torch.cuda.set_stream(torch.cuda.Stream())
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32


def arithmetic(device: torch.device, tf32: bool, half_type: str) -> dict[str, Any]:
    """The arithmetic in which a run that asks for `tf32` and `half_type` computes on `device`, as rows record it.

    A CPU computes all of it in float32. ConfigError for a GPU that does not compute in bfloat16.
    """
    if device.type != "cuda":
        return {"tf32": False, "half_type": "none"}
    if half_type == "bfloat16" and torch.cuda.get_device_capability(device) < (8, 0):
        raise ConfigError(
            f"{torch.cuda.get_device_name(device)} does not compute in bfloat16. Use float16 or none: arithmetic.half "
            "in config/config.yaml."
        )
    return {"tf32": tf32, "half_type": half_type}
