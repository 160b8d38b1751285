"""Errors a user can cause, and the sentence that offers the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A wrong name or value in the configuration; the message says what is allowed and where to change it."""


def unknown_name(what: str, name: str, known: Iterable[str], where: str) -> ConfigError:
    """The error for `name`, which is no `what`: names the nearest known ones, all of them, and the place."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    return ConfigError(f"unknown {what} {name!r}.{hint} Known: {', '.join(known) or 'none'}. Change it in {where}.")
