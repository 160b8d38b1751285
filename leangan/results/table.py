"""results.csv: rows as one flat table, written from rows and read back into them.

Fields of nested records are columns with dots: `protocol.name`. What a row does not state is an empty cell, a flag is
true or false, a list is JSON.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json
from leangan.core.schemas import Record, parse
from leangan.results.metric_names import check_metric
from leangan.runs.row import Row

FIRST = ["dataset", "resolution", "images", "backbone", "preset", "method", "seed", "run", "protocol.name", "metric",
         "kimg"]  # fmt: skip
"""The columns on the left."""


def to_csv(rows: Iterable[Row]) -> str:
    """The table of these rows, with full precision. A column appears if any row has it."""
    lines = [flatten(row.model_dump(exclude_unset=True)) for row in rows]
    return csv_text([*FIRST, *sorted({key for line in lines for key in line} - set(FIRST))], lines)


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The content of a row without nesting: keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def csv_text(columns: list[str], lines: Iterable[dict[str, Any]]) -> str:
    """Lines under these columns as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({key: _cell(value) for key, value in line.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as written to the table. Readers of CSV take a carriage return for the end of a line, quoted or not."""
    if isinstance(value, str):
        return value.replace("\r", "\n")
    return json.dumps(value, sort_keys=True) if isinstance(value, bool | list | tuple) else value


def read_results(path: str | Path) -> list[Row]:
    """The rows of a table written by `leangan collect`.

    Raises ConfigError where the file is missing, is no such table or is empty, and for a line that is no row or calls a
    proxy FID, KID or IS.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path} is missing. Write it with leangan collect.")
    return parse_results(Path(path).read_text(), str(path))


def parse_results(text: str, where: str) -> list[Row]:
    """The same from the text of such a table; `where` names its source in messages."""
    csv.field_size_limit(sys.maxsize)  # a title of a submission may be longer than the usual limit
    lines = csv.DictReader(io.StringIO(text, newline=""), restval="")
    fields = dict(_fields(Row))
    missing = [name for name, field in fields.items() if field.is_required() and name not in (lines.fieldnames or ())]
    if missing:
        raise ConfigError(f"{where} lacks the columns {', '.join(missing)}. Write it with leangan collect.")
    rows = [_row(line, fields, f"{where}, row {number}") for number, line in enumerate(lines, 1)]
    if not rows:
        raise ConfigError(f"{where} holds no rows. Write it with leangan collect.")
    return rows


def _fields(kind: type[Record], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The columns that a record may have, with the field of each."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Record):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _row(line: dict[str, str], fields: dict[str, FieldInfo], where: str) -> Row:
    content: dict[str, Any] = {str(column): text for column, text in line.items() if column not in fields}
    for column, field in fields.items():
        text = line.get(column, "")
        if text == "" and not field.is_required():
            continue
        *parents, key = column.split(".")
        inner = content
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = _value(text, field.annotation, f"{where}, {column}")
    row = parse(Row, content, where)
    check_metric(row, where)
    return row


def _value(text: str, kind: Any, where: str) -> Any:
    """What a cell says in a column of values of the type `kind`."""
    if text == "" and type(None) in get_args(kind):
        return None
    if _is_text(kind):
        return text
    try:
        return parse_json(text)
    except ValueError:
        raise ConfigError(
            f"{where} = {text!r} is no number, flag or list. Write the table with leangan collect."
        ) from None


def _is_text(kind: Any) -> bool:
    """Whether values of a field's type are texts."""
    parts = () if get_origin(kind) is tuple else get_args(kind)
    return kind is str or any(isinstance(part, str) or _is_text(part) for part in parts)
