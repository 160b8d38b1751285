"""The titles that methods have in tables, figures and on the page: no two methods share one."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def title_of(method: str, rows: pd.DataFrame) -> str:
    """The title that the rows give the method; without a number, or without a row, only its name may be known."""
    own = rows[rows["method"] == method]
    done = own[own["status"] == "done"]
    titles = (done if len(done) else own)["method_title"]
    return titles.iloc[0] if len(titles) else method


def distinct(titles: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to print for each (method, title): of methods that share a title, those after the first with their names."""
    first: dict[str, str] = {}
    titles = list(titles)
    for method, title in titles:
        first.setdefault(title, method)
    return {(method, title): title if first[title] == method else f"{title} ({method})" for method, title in titles}
