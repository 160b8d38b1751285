"""The table of methods in README.md, from what each file of augment/ says of itself."""

from __future__ import annotations

import re
from pathlib import Path

from page_text import table

from leangan.core.markers import between_markers
from leangan.core.project import ROOT
from leangan.plugins import registry
from leangan.plugins.facts import read_facts

README = ROOT / "README.md"

SOURCES = {"paper": "paper", "release": "authors' release", "project": "**this project**"}
"""Where constants come from, by the words of `Method.constants`."""


def page() -> str:
    """The text of README.md with the present table."""
    return between_markers(README.read_text(), "methods", methods_table(), str(README))


def methods_table() -> str:
    """One line for each method of the project but the baseline, the oldest paper first."""
    lines = [
        line_of(name) for name in registry.names("method") if name != "none" and registry.find_home(name) == "project"
    ]
    return table(["Method", "Paper", "Year", "File", "Constants from"], [line for _, line in sorted(lines)])


def line_of(name: str) -> tuple[tuple[int, str], list[str]]:
    """(place in the order, cells) of a method."""
    facts = {"constants": ""} | read_facts("method", name, ["title", "paper"], ["constants"])
    year = year_of(facts["paper"])
    constants = ", ".join(SOURCES[word] for word in facts["constants"].split(", ") if word) or "it has none"
    file = Path("augment") / registry.file_of("method", name).name
    return (year, name), [facts["title"], linked(facts["paper"]), str(year), f"[{name}]({file})", constants]


def year_of(paper: str) -> int:
    """The year of the first paper: of its arXiv number, or the one after its venue."""
    if number := re.search(r"arXiv:(\d\d)\d\d\.\d{5}", paper):
        return 2000 + int(number[1])
    found = re.search(r"\b20\d\d\b", paper)
    assert found, f"{paper!r} states no year"
    return int(found[0])


def linked(paper: str) -> str:
    """Each arXiv number as a link."""
    return re.sub(r"arXiv:(\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", paper)
