"""The command that reproduces a row of the page."""

from __future__ import annotations

import json
import shlex
from typing import Any

from leangan.core.provenance import UNKNOWN
from leangan.core.yaml_files import parse_yaml
from leangan.results.spec_file import SpecFile


def command_of(run: str, protocol: str, scale: str, stated: SpecFile | None) -> str:
    """One shell line, to be run in the project's folder, with the other keys of the configuration in spec.json."""
    config = {"scale": scale, **(stated.config if stated else {})}
    target = f"results/{scale}/rows/{run}/{protocol}.jsonl"
    keys = [f"{key}={_text(value)}" for key, value in config.items()]
    return shlex.join(["snakemake", "--cores", "all", target, "--config", *keys])


def at_commit(commit: str | None, command: str) -> str:
    """The command behind a checkout of the commit, as far as it is known."""
    return command if commit is None or UNKNOWN in commit else f"{shlex.join(['git', 'checkout', commit])} && {command}"


def _text(value: Any) -> str:
    """A value as --config takes it: JSON, or a plain word."""
    if isinstance(value, str) and _is_word(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_word(text: str) -> bool:
    try:
        return parse_yaml(text) == text
    except ValueError:
        return False
