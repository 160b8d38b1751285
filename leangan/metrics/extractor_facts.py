"""What extractors say of themselves, read from the files of leangan/metrics/extractors/ without running these."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from leangan.core.errors import check_names
from leangan.plugins import registry
from leangan.plugins.facts import read_facts

FILE = "config/protocols.yaml"


@dataclass(frozen=True)
class ExtractorFacts:
    """The attributes of `Extractor` (leangan/metrics/base.py) that tables and the plan read."""

    title: str
    floats: int
    published: bool = False
    named: bool = True
    package: str | None = None


@registry.remembered
def find_extractor(name: str) -> ExtractorFacts:
    """The facts of one extractor.

    Raises ConfigError where there is none of this name or its file cannot be read.
    """
    check_names("extractor", [name], registry.names("extractor"), FILE)
    return ExtractorFacts(**read_facts("extractor", name, ["title", "floats"], ["published", "named", "package"]))


def is_published(name: str) -> bool:
    """Whether its numbers can be compared with published ones; an unknown extractor's cannot."""
    return name in registry.names("extractor") and find_extractor(name).published


def is_named(name: str) -> bool:
    """Whether the name of a number states this extractor, as it does one that is not known."""
    return name not in registry.names("extractor") or find_extractor(name).named


def title_of(name: str) -> str:
    """What an extractor is called in headings: its title, or the name of one that is not known."""
    return find_extractor(name).title if name in registry.names("extractor") else name


def library(name: str) -> str:
    """The package and version that define an extractor's numbers, or its module."""
    package = find_extractor(name).package
    return f"{package} {version(package)}" if package else f"{registry.KINDS['extractor'][0]}.{name}"
