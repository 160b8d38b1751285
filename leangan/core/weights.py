"""Proof that the weights of a network that others have trained are the published ones."""

from __future__ import annotations

from pathlib import Path

from leangan.core.errors import ConfigError
from leangan.core.files import sha256


class WeightsError(ConfigError):
    """The weights of a network are missing or are not the published ones."""


def check_digest(path: Path, expected: str, key: str) -> str:
    """The SHA-256 of a file; WeightsError unless it begins with `expected`. `key` is where to change it."""
    digest = sha256(path)
    if not digest.startswith(expected.lower()):
        raise WeightsError(
            f"{path} has SHA-256 {digest[:8]}..., expected {expected[:8]}...; not loaded: delete it or change {key}"
        )
    return digest
