"""Plugin discovery: a plugin is a file that defines a class of a fixed name.

Methods also come from installed packages, which name them in the entry-point group `leangan.methods`. Listing costs
nothing; a file is imported only when its class is asked for, so that building the DAG stays quick. A plugin that fails
to import or breaks the contract does not harm the others.
"""

from __future__ import annotations

import ast
import inspect
import sys
import traceback
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from suite.config import ROOT
from suite.errors import unknown_name

KINDS = {"method": ("augment", "Method"), "backbone": ("models", "Backbone")}
GROUPS = {"method": "leangan.methods"}
"""The entry-point groups of kinds that packages may add to; an entry point is a module or the class in it."""


@dataclass(frozen=True)
class FailedImport:
    """Stands for a plugin that cannot be used: its import raised, or its class breaks the contract."""

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
def _found(kind: str) -> dict[str, list[EntryPoint]]:
    """Where each plugin of a kind comes from, by name; an entry point without a package is a file of the project."""
    folder, class_name = KINDS[kind]
    found: dict[str, list[EntryPoint]] = {}
    for path in (ROOT / folder).glob("*.py"):
        if path.stem not in ("__init__", "base") and _defines(path, class_name):
            found[path.stem] = [EntryPoint(path.stem, f"{folder}.{path.stem}:{class_name}", "")]
    for entry in entry_points(group=GROUPS[kind]) if kind in GROUPS else ():
        found.setdefault(entry.name, []).append(entry)
    return found


def _origin(entry: EntryPoint) -> str:
    """The file or the package of a plugin, for messages."""
    return f"{entry.module} of package {entry.dist.name}" if entry.dist else f"{entry.module.replace('.', '/')}.py"


def names(kind: str) -> list[str]:
    """The names of all plugins of a kind ("method" or "backbone"), without importing them."""
    return sorted(_found(kind))


@cache
def load(kind: str, name: str, where: str = "config/methods.yaml or --config methods=[...]") -> type | FailedImport:
    """The plugin's class, or a FailedImport; ConfigError with the nearest names where there is no such plugin."""
    if name not in _found(kind):
        raise unknown_name(kind, name, names(kind), where)
    entry, *others = _found(kind)[name]
    if others:
        origins = " and ".join(map(_origin, [entry, *others]))
        return FailedImport(name, f"{kind} {name!r} is defined twice, by {origins}: rename or remove one.", "")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        plugin = entry.load()
        plugin = getattr(plugin, KINDS[kind][1]) if inspect.ismodule(plugin) else plugin
        if kind == "method":
            from augment.check import objection  # imports torch, which listing does without

            if fault := objection(plugin):
                return FailedImport(name, fault, "")
        return plugin
    except Exception as error:
        return FailedImport(name, f"{_origin(entry)} failed to import: {explain(error)}", traceback.format_exc())


def explain(error: Exception) -> str:
    """The error in one line, with the file and line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    file, line = last.filename, last.lineno
    if isinstance(error, SyntaxError):
        file, line = error.filename or file, error.lineno or line
    return f"{type(error).__name__}: {error} ({Path(file).name}, line {line})"
