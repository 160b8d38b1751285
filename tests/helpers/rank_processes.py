"""Processes that train as the ranks of one run, and what their states have in common."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path

import torch

from tests.helpers import rank_worker

# Processes that have torch imported from the start, and nothing else of this one.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch._dynamo", "leangan.training.loop"])


def launch(world: int, folder: Path, work: Callable[..., None], *arguments: object) -> list[multiprocessing.Process]:
    """`work(*arguments)` in each of `world` processes, as torchrun would start them; stderr goes to `folder`/rankN."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(exist_ok=True)
    processes = []
    for rank in range(world):
        common = {"WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        variables = {key: str(value) for key, value in {**common, "RANK": rank, "LOCAL_RANK": rank}.items()}
        task = (variables, folder / f"rank{rank}", work, *arguments)
        processes.append(CONTEXT.Process(target=rank_worker.as_rank, args=task, daemon=True))
        processes[-1].start()
    return processes


def exit_code(process: multiprocessing.Process, seconds: float) -> int | None:
    """The process's exit code once it has ended, None if it has not after `seconds`."""
    process.join(seconds)
    return process.exitcode


def tensors(state: dict, prefix: str = "") -> dict[str, torch.Tensor]:
    """All tensors and numbers of a nested state by their path."""
    found = {}
    for key, value in state.items():
        if isinstance(value, dict):
            found |= tensors(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor | float | int) and key != "seconds":
            found[f"{prefix}{key}"] = torch.as_tensor(value)
    return found


def assert_close(
    a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], relative: float = 1e-4, absolute: float = 1e-9
) -> None:
    """Equal but for float32 rounding (6e-8 of a tensor's scale) as iterations amplify it."""
    assert a.keys() == b.keys()
    for name in a:
        error, scale = (b[name].double() - a[name].double()).abs(), a[name].double().abs()
        assert not error.numel() or error.nan_to_num().max() <= relative * scale.nan_to_num().max() + absolute, name
        assert torch.equal(a[name].isnan(), b[name].isnan()), name
