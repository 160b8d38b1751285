"""What the processes of tests/training do, each as one of several ranks."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from leangan import cli
from leangan.core.distributed import drawing_own_rows, joined_ranks, own_rows
from leangan.core.ranks import rank
from leangan.core.spec import RunSpec
from leangan.plugins import registry
from leangan.plugins.check import HookError
from leangan.plugins.method import Method
from leangan.plugins.trial import try_hooks
from leangan.training import loop, trainer
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step


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


STEPS = 3
"""Iterations of `take_steps`; all regularisers and a held-out batch are due in the first one."""


def take_steps(spec: RunSpec, reals: dict[str, Any]) -> dict[str, Any]:
    """The first iterations of a run in float64, without its files: the log after each of them, and the last state."""
    device, batch, lines = torch.device("cpu"), spec.hyper["batch"], []
    with double_precision():
        torch.manual_seed(0)
        steps = trainer.Trainer(spec, Reals(**reals, device=device), device)
        for iteration in range(STEPS):
            seed_step(spec.seed, batch * iteration)
            with drawing_own_rows():
                steps.g_step(batch * iteration, iteration)
                steps.d_step(batch * iteration, iteration)
                steps.validate(batch * (iteration + 1), iteration)
            lines.append({**steps.tally.means(), **steps.method.log()})
        state = copy.deepcopy(steps.state_dict())
        return {"log": lines, "state": state, "observed": observe(steps.method, batch)}


def observe(method: Method, batch: int) -> dict[str, Any]:
    """What the method keeps after each of some D steps with made logits, in which one half of the batch contradicts
    the other: rank 0 of 2 sees one half, rank 1 the other.
    """
    generator, kept = torch.Generator().manual_seed(1), {}
    halves = 1 - 2 * (torch.arange(batch) % 2)[:, None]
    for step, apart in enumerate([2, -2, 0.5, -0.5, 2, 2, 0, -2]):
        logits = own_rows(torch.randn(batch, 1, generator=generator) + apart * halves)
        method.observe(logits, -logits, batch * step)
        method.observe_validation(logits - 1, batch * step)
        kept[f"step {step}"] = copy.deepcopy(method.state_dict())
    return kept


def trial(spec: RunSpec, reals: dict[str, Any]) -> str:
    """What the trial before the first step has against the run's method; "" for nothing."""
    device = torch.device("cpu")
    torch.manual_seed(0)
    try:
        try_hooks(spec, Reals(**reals, device=device), device)
    except HookError as error:
        return str(error)
    return ""


def take_steps_of_all(runs: dict[str, RunSpec], reals: dict[str, Any], folders: list[str], out: Path) -> None:
    """`trial` and `take_steps` of all runs; every rank writes what it has in the end to a file of its own.

    Methods are also found in `folders`.
    """
    registry.search(folders)
    with joined_ranks(torch.device("cpu")):
        trials = {name: trial(spec, reals) for name, spec in runs.items()}
        begin_with_other_weights(rank())
        found = {name: {"trial": trials[name], **take_steps(spec, reals)} for name, spec in runs.items()}
        torch.save(found, out / f"rank{rank()}.pt")


def run_command(options: list[str]) -> None:
    """`leangan train` with these options."""
    cli.main(["train", *options])


def run_in_double(options: list[str]) -> None:
    """The same in float64."""
    with double_precision():
        cli.main(["train", *options])
