"""Markdown of the generated pages: values as YAML has them, tables, and lists that wrap."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from typing import Any

WIDTH = 120


def shown(value: Any) -> str:
    """A value as one writes it in YAML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, float):
        return f"{value:.10g}"
    plain = isinstance(value, str) and value and not set(value) & set(",:{}[]#")
    return str(value) if plain else json.dumps(value)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A pipe table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def item(text: str, depth: int = 0) -> str:
    """An entry of a list, `depth` levels inside another."""
    indent = "  " * depth
    return paragraph(text, f"{indent}- ", f"{indent}  ")


def paragraph(text: str, first: str = "", rest: str = "") -> str:
    """A text in lines of WIDTH, the first of which begins with `first` and the others with `rest`."""
    plain = " ".join(text.split())
    lines = textwrap.wrap(
        plain, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"


def yaml_block(text: str) -> str:
    """A block of YAML."""
    return f"```yaml\n{text.strip()}\n```\n"
