"""Which readers there are, by the files in leangan/data/readers/ and what each defines; none is imported for that."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from leangan.core.errors import unknown_name
from leangan.data import readers
from leangan.data.contracts import DatasetError

FORM, OPEN_SET, ROWS = "FORM", "open_set", "ROWS"


def files_with(definition: str) -> dict[str, Path]:
    """The readers' files that define this at top level, by the name of the reader."""
    files = [path for folder in readers.__path__ for path in sorted(Path(folder).glob("[!_]*.py"))]
    return {path.stem: path for path in files if definition in _top_level(path)}


def load(name: str) -> ModuleType:
    """The module of a reader."""
    return import_module(f"{readers.__name__}.{name}")


def reader_of(name: str) -> ModuleType:
    """The module of the reader of known sets `name`. Raises ConfigError with the nearest names where there is none."""
    known = files_with(OPEN_SET)
    if name not in known:
        raise unknown_name("reader", name, known, "the columns kind and location of leangan/data/sources.csv")
    return load(name)


def stated_rows() -> list[tuple[Path, dict[str, Any]]]:
    """The file and the row of each set that a reader's file states. Raises DatasetError for rows that it computes."""
    found = []
    for name, path in files_with(ROWS).items():
        node = _top_level(path)[ROWS]
        try:
            rows = [dict(row) for row in ast.literal_eval(node or "")]
        except (ValueError, TypeError, SyntaxError):
            raise DatasetError(f"{path}: {ROWS} must be a list of dicts, written out as plain values") from None
        for row in rows:
            place = f"resources/sources/{row.get('name')}"
            found.append((path, {"kind": name, "location": place, **row}))
    return found


def _top_level(path: Path) -> dict[str, ast.expr | None]:
    """What a file defines at top level, with the value that it assigns. A file that does not parse defines nothing."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, UnicodeDecodeError):
        return {}
    found: dict[str, ast.expr | None] = {}
    for node in body:
        match node:
            case ast.FunctionDef(name=name):
                found[name] = None
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                found[name] = value
    return found
