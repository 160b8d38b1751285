"""A name for whoever runs a program."""

from __future__ import annotations

import getpass
import os


def ensure_name() -> None:
    """Set the variable USER where nothing names the user, as in containers that run under a mere number.

    Snakemake and torch ask for a name, and end with an error where there is none.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())
