"""Generated tables within files that are written by hand."""

from __future__ import annotations

from leangan.core.errors import ConfigError


def between_markers(text: str, name: str, table: str, where: str) -> str:
    """`text`, the content of `where`, with the table between the markers called `name`; ConfigError without them."""
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = text.partition(f"{first}\n")
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ConfigError(f"{where} needs the lines {first} and {last}, which the table goes between. Add them to it.")
    return f"{before}{begin}{table}{end}{after}"
