"""Digests of what code does.

They do not change with comments, docstrings, layout, a method's names, or the modules of this project that it imports
from: a file of the project may move without making every run that was trained with it another one.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROJECT = "leangan"

PLUGINS = ("Method", "Backbone")
"""Names that many modules of the project define: they count with the last part of their module's name."""

NAMES = ("title", "paper", "constants", "quick", "neutral", "capturable", "redraws", "compares_passes", "judges")
"""Attributes of a method that say what it is called and how it is tested and run, not what it does."""


def code_sha256(files: Iterable[Path]) -> str:
    """The sha256 of what some Python files do, in this order: of their syntax trees.

    Docstrings are left out, and so are the NAMES of classes. Of imports from the project, the names that are imported
    count, not the modules: the commit describes what is behind them. A file that is not valid Python counts by its
    bytes.
    """
    return hashlib.sha256(json.dumps([_content(path) for path in files]).encode()).hexdigest()


def imported_modules(path: Path) -> set[str]:
    """The names of the top-level modules that a Python file imports; none for one that is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def _content(path: Path) -> Any:
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return hashlib.sha256(content).hexdigest()
    taken = sorted({name for node in ast.walk(tree) for name in _taken_from_project(node)})
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
        if isinstance(node, ast.ClassDef):
            node.body = [each for each in node.body if not _is_name(each)]
    return [taken, _plain(tree)]


def _taken_from_project(node: ast.AST) -> list[tuple[str, str]]:
    """The names that an import statement takes from the project, each with the name it gets; none for anything else."""
    if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != PROJECT:
        return []
    last = (node.module or "").rpartition(".")[2]
    return [
        (f"{last}.{alias.name}" if alias.name in PLUGINS else alias.name, alias.asname or alias.name)
        for alias in node.names
    ]


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text and nothing else: a docstring, or one used as a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_name(node: ast.stmt) -> bool:
    """Whether a statement of a class sets one of NAMES."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return bool(targets) and all(isinstance(each, ast.Name) and each.id in NAMES for each in targets)


def _plain(node: Any) -> Any:
    """A node as lists of its type and its fields, without statements that import from the project.

    Empty fields are left out: newer versions of Python have more.
    """
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    fields = [(name, _own(value)) for name, value in ast.iter_fields(node)]
    fields = [(name, value) for name, value in fields if value is not None and value != []]
    # A constant None is a value, not an empty field.
    if isinstance(node, ast.Constant):
        fields = [("value", node.value)]
    return [type(node).__name__, *([name, _plain(value)] for name, value in fields)]


def _own(field: Any) -> Any:
    """A field of a node, without the statements that import from the project."""
    return [each for each in field if not _taken_from_project(each)] if isinstance(field, list) else field
