"""Digests of code that do not change with comments, docstrings or layout."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any


def code_sha256(path: Path) -> str:
    """The sha256 of what a Python file does: of its syntax tree without docstrings.

    The same under every version of Python that reads the file alike. A file that is not valid Python counts by its
    bytes.
    """
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return hashlib.sha256(content).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text and nothing else: a docstring, or one used as a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(node: Any) -> Any:
    """A node as lists of its type and its fields. Empty fields are left out: newer versions of Python have more."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    # A constant None is a value, not an empty field.
    if isinstance(node, ast.Constant):
        fields = [("value", node.value)]
    return [type(node).__name__, *([name, _plain(value)] for name, value in fields)]
