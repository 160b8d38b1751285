"""The titles that methods have in tables, figures and on the page: no two methods share one."""

from __future__ import annotations

from collections.abc import Iterable


def distinguish_titles(titles: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to print for each (method, title): of methods that share a title, those after the first with their names."""
    first: dict[str, str] = {}
    titles = list(titles)
    for method, title in titles:
        first.setdefault(title, method)
    return {(method, title): title if first[title] == method else f"{title} ({method})" for method, title in titles}
