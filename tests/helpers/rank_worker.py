"""What the processes of tests/training/test_ranks.py do, each as one of several ranks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from leangan import cli
from leangan.core.distributed import joined_ranks
from leangan.core.ranks import rank
from leangan.core.spec import RunSpec
from leangan.training import loop, trainer
from leangan.training.reals import Reals


def as_rank(variables: dict[str, str], errors: Path, work: Callable[..., None], *arguments: Any) -> None:
    """`work(*arguments)` with the environment variables that torchrun sets, and the file `errors` as stderr."""
    os.environ.update(variables)
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    work(*arguments)


def begin_with_other_weights(number: int) -> None:
    """From here on networks begin with weights and buffers that depend on `number`, as they do on the processor."""
    build = trainer.build_networks

    def other(*arguments: Any) -> Any:
        built = build(*arguments)
        for network in built[1:3]:
            for tensor in network.state_dict().values():
                tensor.add_(number)
        return built

    trainer.build_networks = other


DOUBLE = "-double"
"""At the end of a run's name: trained in float64."""


@contextmanager
def double_precision() -> Iterator[None]:
    """Within it everything that would be float32 is float64, so that rounding stands out from what is wrong."""
    single = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = single


def precision_of(name: str) -> AbstractContextManager[None]:
    return double_precision() if name.endswith(DOUBLE) else nullcontext()


def train_all(runs: dict[str, tuple[RunSpec, dict[str, Any]]], out: Path) -> None:
    """Train the runs, each a spec and arguments of Reals; every rank writes what it holds to a folder of its own."""
    device = torch.device("cpu")
    outcomes = {}
    with joined_ranks(device):
        number = rank()
        loop.rank = lambda: 0  # so that this rank writes, too
        begin_with_other_weights(number)
        for name, (spec, reals) in runs.items():
            run_dir = out / f"rank{number}" / name
            try:
                with precision_of(name):
                    data = Reals(**reals, device=device)
                    outcome = loop.train(spec, data, run_dir, device, 0.032, 1e9, lambda: False)
                outcomes[name] = f"{outcome.status} {outcome.reason}"
            except ValueError as error:
                outcomes[name] = f"{type(error).__name__} {error}"
    (out / f"rank{number}.json").write_text(json.dumps(outcomes))


def run_command(options: list[str]) -> None:
    """`leangan train` with these options."""
    cli.main(["train", *options])
