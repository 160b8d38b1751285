"""What a plugin's class says of itself in plain values, read from its file without running it.

Tables, pages and the plan want titles, units and sizes. The file may import torch, which takes seconds, or a library
that is not installed where tables are made.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from leangan.core.errors import ConfigError
from leangan.core.project import show_path
from leangan.plugins import registry

Records = Mapping[str, Callable[..., Any]]
"""What a plain value may call, by name."""


def read_facts(
    kind: str, name: str, required: Iterable[str], optional: Iterable[str] = (), records: Records | None = None
) -> dict[str, Any]:
    """Returns required attributes of a plugin's class, and optional ones that are set, by name.

    A plain value is a constant, a tuple of plain values, or a call of one of `records` with them. Raises ConfigError,
    with file and line, where the file is not valid Python, lacks the class or an attribute, or sets one to something
    else.
    """
    path, class_name = registry.file_of(kind, name), registry.KINDS[kind][1]
    file = show_path(path)
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise ConfigError(f"{file}, line {error.lineno}: {error.msg}.") from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name]
    if not classes:
        raise ConfigError(f"{file} has no class {class_name}. Begin the name of a file that others import with _.")
    stated = dict(_attributes(classes[-1]))
    for attribute in required:
        if attribute not in stated:
            raise ConfigError(f"{file}, line {classes[-1].lineno}: class {class_name} does not set {attribute}.")
    return {
        attribute: _plain_value(node, file, f"{attribute} of class {class_name}", records or {})
        for attribute, node in stated.items()
        if attribute in {*required, *optional}
    }


@registry.remembered
def judges_of(method: str) -> tuple[str, ...]:
    """The extractors that a method's file names in `judges`; none where there is no such file, or it cannot be read."""
    if method not in registry.names("method"):
        return ()
    try:
        return tuple(read_facts("method", method, [], ["judges"]).get("judges", ()))
    except (ValueError, TypeError, ImportError, OSError):  # its runs report what is wrong with it
        return ()


def _attributes(node: ast.ClassDef) -> Iterable[tuple[str, ast.expr]]:
    """The names that the body of a class sets, each with what it is set to."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and statement.value:
            yield ast.unparse(statement.target), statement.value
        elif isinstance(statement, ast.Assign):
            yield from ((ast.unparse(target), statement.value) for target in statement.targets)


def _plain_value(node: ast.expr, file: str, what: str, records: Records) -> Any:
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_plain_value(each, file, what, records) for each in node.elts)
    where = f"{file}, line {node.lineno}: {what}"
    try:
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func).rpartition(".")[2]) in records:
            named: dict[Any, Any] = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
            return records[called](*map(ast.literal_eval, node.args), **named)
        return ast.literal_eval(node)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{where}: {str(error).removesuffix('.')}.") from None
    except ValueError:
        allowed = ", ".join(["constants", "tuples", *(f"{each}(...)" for each in records)])
        raise ConfigError(
            f"{where} must be written in plain values ({allowed}), because it is read without running the file."
        ) from None
