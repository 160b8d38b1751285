"""Plugin discovery: a plugin is a file that defines a class of a fixed name.

Listing a folder costs nothing; a file is imported only when its class is asked for, so that building
the DAG stays quick. A file that fails to import does not harm the others.
"""

from __future__ import annotations

import ast
import importlib
import sys
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suite.config import ROOT
from suite.errors import unknown_name

KINDS = {"method": ("augment", "Method"), "backbone": ("models", "Backbone")}


@dataclass(frozen=True)
class FailedImport:
    """Stands for a plugin whose file raised while it was imported."""

    name: str
    reason: str
    traceback: str


def _defines(path: Path, class_name: str) -> bool:
    """Whether the file defines the class at top level; a file that does not parse counts, so that it is reported."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError):
        return True
    return any(isinstance(node, ast.ClassDef) and node.name == class_name for node in tree.body)


@cache
def names(kind: str) -> list[str]:
    """The names of all plugins of a kind ("method" or "backbone"), without importing them."""
    folder, class_name = KINDS[kind]
    return sorted(
        path.stem
        for path in (ROOT / folder).glob("*.py")
        if path.stem not in ("__init__", "base") and _defines(path, class_name)
    )


@cache
def load(kind: str, name: str, where: str = "config/methods.yaml or --config methods=[...]") -> type | FailedImport:
    """The plugin's class, or a FailedImport; ConfigError with the nearest names where there is no such file."""
    folder, class_name = KINDS[kind]
    if name not in names(kind):
        raise unknown_name(kind, name, names(kind), where)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        return getattr(importlib.import_module(f"{folder}.{name}"), class_name)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        file, line = last.filename, last.lineno
        if isinstance(error, SyntaxError):
            file, line = error.filename or file, error.lineno or line
        return FailedImport(
            name,
            f"{folder}/{name}.py failed to import: {type(error).__name__}: {error} ({Path(file).name}, line {line})",
            traceback.format_exc(),
        )
