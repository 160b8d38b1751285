"""The titles that methods have in tables, figures and on the page: no two methods share one, and no method has two.

Titles that differ in nothing but capitals, spaces and hyphens between letters are one: "Baseline" and "baseline",
"Freeze-D" and "FreezeD".
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def key_of(title: str) -> str:
    """The same for all spellings of a title."""
    words = " ".join(title.split()).casefold()
    return re.sub(r"(?<=[^\W\d_])[ _-](?=[^\W\d_])", "", words)


def distinguish_titles(titles: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to print for each (method, title): of methods that share a title, those after the first with their names.

    Of several spellings of one method's title, the first is printed.
    """
    first: dict[str, tuple[str, str]] = {}
    titles = list(titles)
    for method, title in titles:
        first.setdefault(key_of(title), (method, title))
    printed = {}
    for method, title in titles:
        owner, spelling = first[key_of(title)]
        printed[method, title] = spelling if owner == method else f"{title} ({method})"
    return printed
