"""Paths as they come on people's machines: every sign that a shell, Make, the engine, YAML or HTML reads otherwise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHECKOUT = "My Drive (1) [x] it's {a} & $HOME ~ #50% é"
"""A folder for a checkout. Quotation marks are left to IMAGES."""

IMAGES = "my {50%} 'photos' & \"more\" [of] #1, é: $x *"
METHODS = "{own} 'methods' & [more], #2"
TEMPORARY = "t {m} 'p' & $x"

NO_HOME = "/dev/null/nobody"
"""A home folder that is not there and cannot be made, as in containers and on nodes of a cluster."""


def config(**keys: object) -> list[str]:
    """Keys and values for --config."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]


def link_environment(project: Path) -> None:
    """Give the project this Python's environment as its own .venv, up to date for Make."""
    venv = project / ".venv"
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name not in ("types", "installed"):
            (venv / entry.name).symlink_to(entry)
    (venv / "installed").touch()


def engine(project: Path) -> list[str]:
    """The command that starts Snakemake from the project's own environment."""
    return [str(project / ".venv/bin" / Path(sys.executable).name), "-m", "snakemake"]
