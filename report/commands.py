"""The command that makes a row of the page again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from report.spec_file import SpecFile
from suite.config import parse_yaml


def command_of(run: str, protocol: str, scale: str, stated: SpecFile | None) -> str:
    """One line for a shell in the project's folder; `scale` is that of the rows, where no spec.json states it."""
    config = {"scale": scale, **(stated.config if stated else {})}
    target = f"results/{config['scale']}/rows/{run}/{protocol}.jsonl"
    keys = [f"{key}={_text(value)}" for key, value in config.items()]
    return shlex.join(["snakemake", "--cores", "all", target, "--config", *keys])


def _text(value: Any) -> str:
    """A value as --config takes it: JSON, a plain word as it is."""
    if isinstance(value, str) and _is_word(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_word(text: str) -> bool:
    try:
        return parse_yaml(text) == text
    except ValueError:
        return False
