"""Finds readers by their files in leangan/data/readers/ and what these define, without importing them."""

from __future__ import annotations

import ast
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from leangan.core.errors import ConfigError, unknown_name
from leangan.data import readers

FORM, OPEN_SET, ROWS = "FORM", "open_set", "ROWS"


def files_with(definition: str) -> dict[str, Path]:
    """The readers' files that define this name at top level, by the name of the reader."""
    damaged = unreadable()
    return {path.stem: path for path in _files() if str(path) not in damaged and definition in _top_level(path)}


def unreadable() -> dict[str, str]:
    """The readers' files that do not parse: by path, a line with the error."""
    found = {}
    for path in _files():
        try:
            _top_level(path)
        except (SyntaxError, UnicodeDecodeError) as error:
            found[str(path)] = f"{path}: {type(error).__name__}: {error}"
    return found


def not_read(faults: Collection[str]) -> str:
    """A sentence, after a space, on files that may hold what is missing; "" if there are none."""
    return f" Not read: {'; '.join(faults)}." if faults else ""


def load(name: str) -> ModuleType:
    """The module of a reader."""
    return import_module(f"{readers.__name__}.{name}")


def reader_of(name: str) -> ModuleType:
    """The module that opens known sets as reader `name`. Raises ConfigError with the nearest names if there is none."""
    known = files_with(OPEN_SET)
    if name not in known:
        unknown = unknown_name("reader", name, known, "the columns kind and location of leangan/data/sources.csv")
        raise ConfigError(f"{unknown}{not_read(unreadable().values())}")
    return load(name)


def stated_rows() -> tuple[list[tuple[Path, dict[str, Any]]], dict[str, str]]:
    """The file and the row of each set that a reader's file states; then, by path, the faults of files without rows."""
    found, faults = [], unreadable()
    for name, path in files_with(ROWS).items():
        node = _top_level(path)[ROWS]
        try:
            rows = [dict(row) for row in ast.literal_eval(node or "")]
        except (ValueError, TypeError, SyntaxError):
            faults[str(path)] = f"{path}: {ROWS} must be a list of dicts, written out as plain values"
            continue
        for row in rows:
            place = f"resources/sources/{row.get('name')}"
            found.append((path, {"kind": name, "location": place, **row}))
    return found, faults


def _files() -> list[Path]:
    return [path for folder in readers.__path__ for path in sorted(Path(folder).glob("[!_]*.py"))]


def _top_level(path: Path) -> dict[str, ast.expr | None]:
    """What a file defines at top level, with the value that it assigns. Raises SyntaxError and UnicodeDecodeError."""
    found: dict[str, ast.expr | None] = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
        match node:
            case ast.FunctionDef(name=name):
                found[name] = None
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                found[name] = value
    return found
