"""Where the project's own files are: in a checkout, or among the files of an installed package.

Code names each file from the project's root, as `config/scales.yaml`. A package brings the defaults under config/, the
schemas and the published numbers along; what is written or built belongs to a checkout.
"""

from __future__ import annotations

from pathlib import Path

from leangan.core.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent

CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "Snakefile").is_file() else None
"""The root of the checkout that this code is in; None for an installed package."""

ROOT = CHECKOUT or Path.cwd()
"""What relative paths of the configuration start from: the checkout, or the working directory."""

PACKAGED = {"config": "config", "workflow/schemas": "schemas", "results/published": "published"}
"""Folders of a checkout that an installed package has, and where in it."""


def project_file(relative: str) -> Path:
    """The path of a file of the project, named from the root of a checkout, whether or not it exists."""
    if CHECKOUT is None:
        for folder, packaged in PACKAGED.items():
            if Path(relative).is_relative_to(folder):
                return PACKAGE / packaged / Path(relative).relative_to(folder)
    return ROOT / relative


def show_path(file: str | Path) -> str:
    """A file by its path below the project's root, or in full if it is elsewhere."""
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def check_checkout(what: str) -> None:
    """Raise ConfigError, naming `what` was asked for, unless this code is in a checkout."""
    if CHECKOUT is None:
        raise ConfigError(
            f"{what} needs a checkout of the project, with its Snakefile, config/ and results/; this is the package "
            f"installed in {PACKAGE}. Clone the repository, install it with make, and run the same command there."
        )
